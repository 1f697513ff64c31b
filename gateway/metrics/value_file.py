"""A file with one kind of a worker's values, in the format that prometheus-client's ``MultiProcessCollector`` reads.

The library's own writer maps the file into memory, where a full disk ends the process (SIGBUS); here it is an error.
The library also takes its folder from an environment variable that must be set before its import.

The format is described in the library's ``mmap_dict``: the number of bytes used and four bytes of padding; then for
each value the length of its key, the key, spaces up to a multiple of eight, the value and a timestamp.
"""

import os
import struct
from contextlib import closing
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict

from gateway.metrics.metric import Sample

_HEADER = struct.Struct("=i4x")
_LENGTH = struct.Struct("=i")
_VALUE = struct.Struct("=d")
_NO_TIME = _VALUE.pack(0.0)
_ALIGNED = 8

_Name = tuple[str, str, tuple[str, ...]]


class ValueFile:
    """Created if necessary. The values of a predecessor are kept, and added to."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._path = path
        self._bytes = bytearray(_HEADER.size)
        self._places: dict[_Name, tuple[int, float]] = {}  # offset of a value, and the predecessor's value
        self._inherited: dict[str, tuple[int, float]] = {}  # the same for a predecessor's values, by key
        if not path.exists():
            _create(path)
        for key, value, *_ in MmapedDict.read_all_values_from_file(path):  # type: ignore[no-untyped-call]  # the library's
            self._inherited[key] = (self._append(key, value), value)

    def set(self, sample: Sample) -> None:
        """Store a value, for the next ``write``."""
        metric, suffix, labels, value = sample
        name = (metric.name, suffix, labels)
        place = self._places.get(name)
        if place is None:
            key = sample.key()
            place = self._places[name] = self._inherited.get(key) or (self._append(key, 0.0), 0.0)
        _VALUE.pack_into(self._bytes, place[0], place[1] + value)

    def write(self) -> None:
        """May wait for the disk: call it in a thread. Raises OSError.

        The header comes last, so that a concurrent reader sees no value that is not written yet.
        """
        whole = bytes(self._bytes)
        with closing(_Descriptor(self._path)) as file:
            file.put(whole[_HEADER.size :], _HEADER.size)
            file.put(_HEADER.pack(len(whole)), 0)

    def _append(self, key: str, value: float) -> int:
        """The offset of the new value. It is aligned, so that a reader never sees half a value."""
        encoded = key.encode()
        padding = b" " * (_ALIGNED - (len(encoded) + _LENGTH.size) % _ALIGNED)
        self._bytes += _LENGTH.pack(len(encoded)) + encoded + padding
        place = len(self._bytes)
        self._bytes += _VALUE.pack(value) + _NO_TIME
        return place


def _create(path: Path) -> None:
    """Create the file atomically: readers fail on a file without a header."""
    new = path.with_suffix(".new")
    new.write_bytes(_HEADER.pack(_HEADER.size))
    new.rename(path)


class _Descriptor:
    def __init__(self, path: Path) -> None:
        self._number = os.open(path, os.O_WRONLY | os.O_CLOEXEC)

    def put(self, data: bytes, at: int) -> None:
        left = memoryview(data)
        while left:
            written = os.pwrite(self._number, left, at)
            left, at = left[written:], at + written

    def close(self) -> None:
        os.close(self._number)
