"""The bytes of a journal's segment: a header and slots of 192 bytes each, the first of them the header's.

A slot, in the machine's own byte order:

    0    8   mark: 0 while the slot is free; then a constant and the CRC-32 of the key, written after all the rest
    8    8   value: requests in the lower half, their cost in the upper
    16   176 key: tenant, principal, minute, kind, status class, length of the route, route in UTF-8

Whoever is killed has executed each of its stores or has not. The mark is one aligned store, so a slot is there with
its whole key and its first request, or is free; the value is one aligned store, so no request is counted without its
cost. The CRC begins with the segment's own name, so that a slot of another file is never taken for one of this.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

from billing.usage.counts import Count, Counted
from gateway.usage.names import SegmentName
from tenants.principal import PrincipalKind

SLOT = 192  # bytes
WORDS = SLOT // 8  # of a slot; its mark is the first, its value the second

_KEY_FORMAT = "16s16sQBBH132s"
_KEY, _SLOT = struct.Struct(f"={_KEY_FORMAT}"), struct.Struct(f"=QQ{_KEY_FORMAT}")
_KEY_AT = SLOT - _KEY.size
_ROUTE_BYTES = 132
_HALF = 32  # bits
_LOWER = 2**_HALF - 1
_MARK = int.from_bytes(b"used", "big") << _HALF
_MAGIC = b"tenantry usage 1"
_HEADER = struct.Struct("=16s16sQII")
_KINDS = (PrincipalKind.API_KEY, PrincipalKind.USER)
_CODES = {kind: code for code, kind in enumerate(_KINDS)}
_CLASSES = range(1, 6)
_LAST_MINUTE = 253_402_300_799 // 60  # of the year 9999, the last that Python and PostgreSQL both name


class Slot(NamedTuple):
    """A new slot, ready to be written: first the value and the key, last the mark."""

    mark: int
    value: int
    key: bytes


def word(cost: int) -> int:
    """What one request adds to a slot's value."""
    return cost << _HALF | 1


class Head(NamedTuple):
    """What a header says."""

    name: SegmentName
    size: int  # bytes of the whole file


def header(head: Head) -> bytes:
    """The first bytes of a segment."""
    return _HEADER.pack(_MAGIC, head.name.journal.bytes, head.name.sequence, head.size, _seed(head.name) ^ head.size)


def read_header(data: bytes) -> Head | None:
    """What the first bytes of a file say; None when they are no header, or not a whole one."""
    if len(data) < _HEADER.size:
        return None
    magic, journal, sequence, size, checksum = _HEADER.unpack_from(data)
    name = SegmentName(UUID(bytes=journal), sequence)
    return Head(name, size) if magic == _MAGIC and checksum == _seed(name) ^ size else None


def slot(name: SegmentName, counted: Counted, value: int) -> Slot:
    """The slot of what is counted, in that segment."""
    route = _fitted(counted.route)
    code = _CODES[counted.kind]
    key = _KEY.pack(counted.tenant, counted.principal, counted.minute, code, counted.status_class, len(route), route)
    return Slot(_MARK | zlib.crc32(key, _seed(name)), value, key)


def place_key(at: int) -> slice:
    """Where the key of slot number ``at`` stands in the file."""
    return slice(at * SLOT + _KEY_AT, (at + 1) * SLOT)


def read_slots(name: SegmentName, slots: memoryview) -> Iterator[tuple[Counted, Count] | None]:
    """What slots that follow each other count; None for each that is not what its mark says."""
    seed = _seed(name)
    for at, (mark, value, *key) in enumerate(_SLOT.iter_unpack(slots)):
        tenant, principal, minute, code, status_class, length, route = key
        whole = mark == _MARK | zlib.crc32(slots[place_key(at)], seed) and value & _LOWER
        if whole and minute <= _LAST_MINUTE and code < len(_KINDS) and status_class in _CLASSES:
            counted = Counted(minute, tenant, principal, route[:length].decode(), status_class, _KINDS[code])
            yield counted, Count(value & _LOWER, value >> _HALF)
        else:
            yield None


def _seed(name: SegmentName) -> int:
    return zlib.crc32(name.journal.bytes + name.sequence.to_bytes(8, "big"))


def _fitted(route: str) -> bytes:
    # A template that is too long keeps its beginning, and a digest that tells it from others which begin alike.
    encoded = route.encode()
    if len(encoded) <= _ROUTE_BYTES:
        return encoded
    digest = f"~{zlib.crc32(encoded):08x}".encode()
    return encoded[: _ROUTE_BYTES - len(digest)].decode(errors="ignore").encode() + digest
