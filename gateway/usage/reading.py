"""Reads a segment: its intact records, and a description of the damage."""

from dataclasses import dataclass, field

from billing.usage.batch import Batch
from billing.usage.counts import Count, Counted
from gateway.usage.layout import RECORD_SIZE, WORDS, read_header, read_records
from gateway.usage.names import SegmentName


@dataclass(slots=True)
class Reading:
    """The content of one segment. ``damage`` is empty for an intact file, even if its worker was killed."""

    name: SegmentName
    counts: dict[Counted, Count] = field(default_factory=dict)
    lost: int = 0  # damaged records
    damage: list[str] = field(default_factory=list)

    def batch(self) -> Batch:
        """One batch of all counts, which PostgreSQL applies once."""
        return Batch.of(self.name.journal, self.name.sequence, self.counts)

    @property
    def requests(self) -> int:
        """Number of requests counted."""
        return sum(count.requests for count in self.counts.values())


def read_segment(name: SegmentName, data: bytes) -> Reading:
    """Read the file of that name. A file of zeros is one whose worker died while it created it."""
    reading = Reading(name)
    head = read_header(data)
    if head is None:
        if any(data):
            reading.damage.append("the header is incomplete")
    elif head.name != name:  # a copy: its counts are in the batch of the other segment
        reading.damage.append("the header names another segment")
        return reading
    elif len(data) < head.size:
        reading.damage.append(f"truncated: {len(data)} of {head.size} bytes")
    _read_records(reading, data)
    return reading


def _read_records(reading: Reading, data: bytes) -> None:
    whole = memoryview(data)[: len(data) // RECORD_SIZE * RECORD_SIZE]
    markers = whole.cast("Q")[::WORDS].tolist()
    used = max((at for at, marker in enumerate(markers) if marker and at), default=0)
    # Records are used in order: a free one before a used one has lost its marker.
    for found in read_records(reading.name, whole[RECORD_SIZE : (used + 1) * RECORD_SIZE]):
        if found is None:
            reading.lost += 1
            continue
        counted, count = found
        known = reading.counts.setdefault(counted, count)
        if known is not count:  # twice, if the clock was set back while the segment was in use
            reading.counts[counted] = known.plus(count)
    if reading.lost:
        reading.damage.append(f"{reading.lost} of {used} records are damaged")
