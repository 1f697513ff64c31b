"""Checks a tenant's chain, row by row: finds edits, deletions, swaps, truncations and rewritten chains (AU2)."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tenants.audit.chain import ChainedRow, next_hash

_MOST_FAULTS = 100  # that are named; all are counted


class FaultKind(StrEnum):
    MISSING = "missing"  # events that were deleted, or given other numbers
    CHANGED = "changed"  # an event, or the one before it, is not what was chained
    UNCHAINED = "unchained"  # an event has a number and no hash
    REWRITTEN = "rewritten"  # the chain is consistent, and not the one that was signed
    TRUNCATED = "truncated"  # events at the end are missing
    ADDED = "added"  # events beyond the end of the chain
    UNREADABLE = "unreadable"  # the log cannot be read


@dataclass(frozen=True, slots=True)
class Fault:
    """One finding: the sequence that it is about, the event's id where there is one, and a sentence."""

    kind: FaultKind
    sequence: int
    event: str | None
    message: str


@dataclass(frozen=True, slots=True)
class ChainEnd:
    """A sequence and its hash: as the control schema has them, or a checkpoint."""

    sequence: int
    hash: bytes
    signed_at: datetime | None = None  # of a checkpoint

    def __str__(self) -> str:
        return "the recorded end" if self.signed_at is None else f"the checkpoint of {self.signed_at:%Y-%m-%d %H:%M:%S}"


@dataclass(slots=True)
class Faults:
    """The findings of one tenant, the first of them by name."""

    named: list[Fault] = field(default_factory=list)
    count: int = 0

    def add(self, kind: FaultKind, sequence: int, event: str | None, message: str) -> None:
        """Count a finding."""
        self.count += 1
        if len(self.named) < _MOST_FAULTS:
            self.named.append(Fault(kind, sequence, event, message))


class Verifier:
    """Is fed the rows of one log in the order of their sequences, then finished. Keeps no row."""

    def __init__(self, start: bytes, ends: Iterable[ChainEnd]) -> None:
        """``start`` is what the first hash follows from. ``ends`` are the recorded end and the checkpoints: what the
        chain must pass through.
        """
        self._previous: bytes | None = start
        self._ends: dict[int, list[ChainEnd]] = defaultdict(list)
        for end in ends:
            self._ends[end.sequence].append(end)
        self._confirmed = 0  # sequence of the last end that the chain agrees with
        self.last = 0
        self.events = 0
        self.faults = Faults()

    def feed(self, row: ChainedRow) -> None:
        """Check the next row. After a fault the stored hash is trusted, so that one edit is one finding."""
        self.events += 1
        if row.sequence <= self.last:
            self.faults.add(FaultKind.ADDED, row.sequence, row.id, "its sequence is used twice")
            return
        if row.sequence != self.last + 1:
            gap = _range(self.last + 1, row.sequence - 1)
            self.faults.add(FaultKind.MISSING, self.last + 1, None, f"{gap} missing before event {row.sequence}")
            self._previous = None
        self.last = row.sequence
        self._check_hash(row)
        self._previous = row.hash
        for end in self._ends.pop(row.sequence, ()):
            self._check_end(row, end)

    def finish(self, newest: int) -> Faults:
        """Check the end. ``newest`` is the sequence that the control schema has for the last event by now."""
        if self.last > newest:
            self.faults.add(
                FaultKind.ADDED, self.last, None, f"the log goes on to {self.last}, its recorded end is {newest}"
            )
        for sequence in sorted(self._ends):
            if sequence > self.last:
                missing, end = _range(self.last + 1, sequence), self._ends[sequence][0]
                message = f"{missing} missing at the end: {end} is at {sequence}"
                self.faults.add(FaultKind.TRUNCATED, self.last + 1, None, message)
        return self.faults

    def _check_hash(self, row: ChainedRow) -> None:
        if row.hash is None:
            self.faults.add(FaultKind.UNCHAINED, row.sequence, row.id, "it has a sequence and no hash")
        elif self._previous is not None and next_hash(self._previous, row.sequence, row.content) != row.hash:
            message = "its hash does not follow from its content and the event before it"
            self.faults.add(FaultKind.CHANGED, row.sequence, row.id, message)

    def _check_end(self, row: ChainedRow, end: ChainEnd) -> None:
        if row.hash == end.hash:
            self._confirmed = row.sequence
            return
        message = f"its hash is not that of {end}: events after {self._confirmed} were rewritten"
        self.faults.add(FaultKind.REWRITTEN, row.sequence, row.id, message)


def _range(first: int, last: int) -> str:
    return f"event {first} is" if first == last else f"events {first} to {last} are"
