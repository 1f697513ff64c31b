"""One file of a worker's journal, mapped into memory: stores survive the death of the process.

A crash of the machine may lose what the kernel had not yet written to the disk, some 30 seconds with Linux's defaults,
except what PostgreSQL already has.
"""

import mmap
import os
from itertools import count
from pathlib import Path
from typing import Self
from uuid import UUID

from billing.usage.counts import Counted
from gateway.usage.layout import RECORD_SIZE, WORDS, SegmentHeader, header_bytes, key_slice, new_record
from gateway.usage.names import SegmentName, open_locked, set_aside
from gateway.usage.reading import Reading, read_segment

_FIRST_RECORD = 1  # record 0 is the header


def file_bytes(records: int) -> int:
    """Size of a segment with so many records."""
    return (records + _FIRST_RECORD) * RECORD_SIZE


class Segment:
    """A segment that this process writes. ``words`` is the file as 64-bit words. Records are never freed."""

    def __init__(self, path: Path, name: SegmentName, descriptor: int, records: int) -> None:
        self.name = name
        self.used = 0
        self._path = path
        self._records = records
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, file_bytes(records))
        self.words = memoryview(self._map).cast("Q")

    @classmethod
    def create(cls, folder: Path, journal: UUID, numbers: "count[int]", records: int) -> Self:
        """A new, empty segment under the next free number. Raises OSError."""
        while True:
            name = SegmentName(journal, next(numbers))
            path = folder / name.file
            descriptor = open_locked(path, os.O_CREAT | os.O_EXCL)
            if descriptor is not None:  # otherwise another worker has just taken it over for an abandoned one
                break
        try:
            _fill(descriptor, name, file_bytes(records))
            return cls(path, name, descriptor, records)
        except BaseException:
            path.unlink(missing_ok=True)
            os.close(descriptor)
            raise

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return file_bytes(self._records)

    @property
    def full(self) -> bool:
        return self.used >= self._records

    def add_record(self, counted: Counted, value: int) -> int:
        """Store a new record; returns the index of its value in ``words``. Must not be called while ``full``."""
        at = self.used + _FIRST_RECORD
        marker, value, key = new_record(self.name, counted, value)
        self._map[key_slice(at)] = key
        self.words[at * WORDS + 1] = value
        self.words[at * WORDS] = marker  # the record counts from here on
        self.used += 1
        return at * WORDS + 1

    def read(self) -> Reading:
        """Its counts."""
        return read_segment(self.name, bytes(self._map))

    def discard(self) -> None:
        """Delete it: it is empty, or its counts are in PostgreSQL."""
        self._path.unlink(missing_ok=True)
        self.close()

    def set_aside(self) -> Path:
        """Keep the damaged file for inspection; returns its path."""
        kept = set_aside(self._path)
        self.close()
        return kept

    def close(self) -> None:
        """Close and unlock the file; another worker may take the segment over."""
        self.words.release()
        self._map.close()
        os.close(self._descriptor)


def _fill(descriptor: int, name: SegmentName, size: int) -> None:
    # Zeros are written instead of extending the file: a full disk must be an error here, not a SIGBUS during a request.
    # The header comes last, so that a file with a header was complete.
    left = memoryview(bytes(size))
    while left:
        left = left[os.write(descriptor, left) :]
    os.pwrite(descriptor, header_bytes(SegmentHeader(name, size)), 0)
