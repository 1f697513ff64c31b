"""Names of segment files, and the lock that shows whether the writer is alive.

A worker locks every segment that it writes, from its creation to its deletion. The kernel releases the lock when the
process dies. A worker that gets the lock of a segment may take it over.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

_NAME = re.compile(r"([0-9a-f]{32})-([0-9]{10})\.usage", re.ASCII)
_DAMAGED = ".damaged"


class SegmentName(NamedTuple):
    """One segment of one worker's journal; also the name of its batch."""

    journal: UUID
    sequence: int

    @property
    def file(self) -> str:
        """The file name."""
        return f"{self.journal.hex}-{self.sequence:010d}.usage"


def segments_in(folder: Path) -> Iterator[SegmentName]:
    """The segments of all workers in the folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            found = _NAME.fullmatch(entry.name)
            if found:
                yield SegmentName(UUID(found[1]), int(found[2]))


def open_locked(path: Path, flags: int) -> int | None:
    """Open and lock the file; None when another process has the lock, or the file is gone. Raises OSError."""
    try:
        descriptor = os.open(path, flags | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if os.fstat(descriptor).st_nlink == 0:  # the former owner of the lock has deleted it
        os.close(descriptor)
        return None
    return descriptor


def set_aside(path: Path) -> Path:
    """Rename a damaged file, so that it is kept for inspection and no worker takes it over."""
    kept = path.with_name(path.name + _DAMAGED)
    path.rename(kept)
    return kept
