"""Names of the journals' files, and the lock that tells a living writer from a dead one.

A worker holds a lock on every segment that it writes, from its making to its deletion; the kernel takes the lock away
when the process dies, however it dies. So whoever gets the lock of a segment may roll it up.
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
    """One segment of one worker's journal: also the name of the batch that it becomes."""

    journal: UUID
    sequence: int

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.journal.hex}-{self.sequence:010d}.usage"


def segments_in(folder: Path) -> Iterator[SegmentName]:
    """The segments that lie in the folder, whoever's they are."""
    with os.scandir(folder) as entries:
        for entry in entries:
            found = _NAME.fullmatch(entry.name)
            if found:
                yield SegmentName(UUID(found[1]), int(found[2]))


def open_locked(path: Path, flags: int) -> int | None:
    """A descriptor of the file with its lock; None when it is another's, or has gone meanwhile. Raises OSError."""
    try:
        descriptor = os.open(path, flags | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if os.fstat(descriptor).st_nlink == 0:  # whoever had the lock before us has deleted it
        os.close(descriptor)
        return None
    return descriptor


def set_aside(path: Path) -> Path:
    """Keep a damaged file for a person to look at, under a name that no worker looks for."""
    kept = path.with_name(path.name + _DAMAGED)
    path.rename(kept)
    return kept
