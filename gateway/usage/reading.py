"""What a segment's bytes say: everything that is whole, and a word about what is not."""

from dataclasses import dataclass, field

from billing.usage.batch import Batch
from billing.usage.counts import Count, Counted
from gateway.usage.layout import SLOT, WORDS, read_header, read_slots
from gateway.usage.names import SegmentName


@dataclass(slots=True)
class Reading:
    """Of one segment. ``damage`` is empty where the file is as its worker left it, even if that was killed."""

    name: SegmentName
    counts: dict[Counted, Count] = field(default_factory=dict)
    lost: int = 0  # slots that cannot be read
    damage: list[str] = field(default_factory=list)

    def batch(self) -> Batch:
        """All of it, to be added once."""
        return Batch.of(self.name.journal, self.name.sequence, self.counts)

    @property
    def requests(self) -> int:
        """How many are counted in it."""
        return sum(count.requests for count in self.counts.values())


def read_segment(name: SegmentName, data: bytes) -> Reading:
    """Read the file of that name. A file of zeros is one whose worker died before it was made."""
    reading = Reading(name)
    head = read_header(data)
    if head is None:
        if any(data):
            reading.damage.append("its header is not whole")
    elif head.name != name:  # a copy: its counts are in the batch that it names
        reading.damage.append("its header names another segment")
        return reading
    elif len(data) < head.size:
        reading.damage.append(f"{len(data)} bytes are left of {head.size}")
    _read_slots(reading, data)
    return reading


def _read_slots(reading: Reading, data: bytes) -> None:
    whole = memoryview(data)[: len(data) // SLOT * SLOT]
    marks = whole.cast("Q")[::WORDS].tolist()
    used = max((at for at, mark in enumerate(marks) if mark and at), default=0)
    # Slots are taken in order: a free one before a used one has lost its mark.
    for found in read_slots(reading.name, whole[SLOT : (used + 1) * SLOT]):
        if found is None:
            reading.lost += 1
            continue
        counted, count = found
        known = reading.counts.setdefault(counted, count)
        if known is not count:  # twice, when the segment outlived a clock that was set back
            reading.counts[counted] = known.plus(count)
    if reading.lost:
        reading.damage.append(f"{reading.lost} of {used} slots cannot be read")
