"""One file of a worker's journal, mapped into memory: the kernel keeps what was stored there when the worker is killed.

A crash of the machine may lose what the kernel had not yet written to the disk, some 30 seconds with Linux's defaults;
what has reached PostgreSQL by then is safe there.
"""

import mmap
import os
from itertools import count
from pathlib import Path
from typing import Self
from uuid import UUID

from billing.usage.counts import Counted
from gateway.usage.layout import SLOT, WORDS, Head, header, place_key, slot
from gateway.usage.names import SegmentName, open_locked, set_aside
from gateway.usage.reading import Reading, read_segment

_FIRST_SLOT = 1  # the header stands in the place of slot 0


def file_bytes(slots: int) -> int:
    """Length of a segment's file."""
    return (slots + _FIRST_SLOT) * SLOT


class Segment:
    """A segment that this process writes. ``words`` is the file as 64-bit words; slots are never given back."""

    def __init__(self, path: Path, name: SegmentName, descriptor: int, slots: int) -> None:
        self.name = name
        self.used = 0
        self._path = path
        self._slots = slots
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, file_bytes(slots))
        self.words = memoryview(self._map).cast("Q")

    @classmethod
    def create(cls, folder: Path, journal: UUID, numbers: "count[int]", slots: int) -> Self:
        """A new, empty segment under the next free number. Raises OSError when there is no room or no right."""
        while True:
            name = SegmentName(journal, next(numbers))
            path = folder / name.file
            descriptor = open_locked(path, os.O_CREAT | os.O_EXCL)
            if descriptor is not None:  # else another worker took it for a dead one's, newborn as it was
                break
        try:
            _fill(descriptor, name, file_bytes(slots))
            return cls(path, name, descriptor, slots)
        except BaseException:
            path.unlink(missing_ok=True)
            os.close(descriptor)
            raise

    @property
    def bytes(self) -> int:
        """Length of its file."""
        return file_bytes(self._slots)

    @property
    def full(self) -> bool:
        return self.used >= self._slots

    def open_slot(self, counted: Counted, value: int) -> int:
        """Take a slot and put ``value`` into it; the index of its value in ``words``. Only while it is not ``full``."""
        at = self.used + _FIRST_SLOT
        mark, value, key = slot(self.name, counted, value)
        self._map[place_key(at)] = key
        self.words[at * WORDS + 1] = value
        self.words[at * WORDS] = mark  # from here on it counts
        self.used += 1
        return at * WORDS + 1

    def read(self) -> Reading:
        """What it holds."""
        return read_segment(self.name, bytes(self._map))

    def discard(self) -> None:
        """Delete it: it is empty, or its counts are where they belong."""
        self._path.unlink(missing_ok=True)
        self.close()

    def set_aside(self) -> Path:
        """Keep what is damaged for a person; where."""
        kept = set_aside(self._path)
        self.close()
        return kept

    def close(self) -> None:
        """Give file and lock back; another worker may now take the segment."""
        self.words.release()
        self._map.close()
        os.close(self._descriptor)


def _fill(descriptor: int, name: SegmentName, size: int) -> None:
    # Written, not just lengthened: a full disk is to be an error here, and no SIGBUS in the midst of a request. The
    # header comes last, so that a file with one was whole once.
    left = memoryview(bytes(size))
    while left:
        left = left[os.write(descriptor, left) :]
    os.pwrite(descriptor, header(Head(name, size)), 0)
