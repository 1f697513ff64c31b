"""The bytes of a journal segment: records of 192 bytes each, the first of which is the header.

A record, in the machine's own byte order:

    0    8   marker: 0 while the record is free; then a constant and the CRC-32 of the key, written last
    8    8   value: number of requests in the lower half, their cost in the upper
    16   176 key: tenant, principal, minute, kind, status class, length of the route, route in UTF-8

A killed process has executed each of its stores or has not. The marker is one aligned store, so that a record either
has its whole key and its first request, or is free. The value is one aligned store, so that no request is counted
without its cost. The CRC starts with the segment's name, so that a record of another file is detected.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

from billing.usage.counts import Count, Counted
from gateway.usage.names import SegmentName
from tenants.principal import PrincipalKind

RECORD_SIZE = 192  # bytes
WORDS = RECORD_SIZE // 8  # of a record: the first is the marker, the second the value

_KEY_FORMAT = "16s16sQBBH132s"
_KEY, _RECORD = struct.Struct(f"={_KEY_FORMAT}"), struct.Struct(f"=QQ{_KEY_FORMAT}")
_KEY_AT = RECORD_SIZE - _KEY.size
_ROUTE_BYTES = 132
_HALF = 32  # bits
_LOWER = 2**_HALF - 1
_MARKER = int.from_bytes(b"used", "big") << _HALF
_MAGIC = b"tenantry usage 1"
_HEADER = struct.Struct("=16s16sQII")
_KINDS = (PrincipalKind.API_KEY, PrincipalKind.USER, PrincipalKind.WORKLOAD)  # their codes: append only
_CODES = {kind: code for code, kind in enumerate(_KINDS)}
_CLASSES = range(1, 6)
_LAST_MINUTE = 253_402_300_799 // 60  # of the year 9999, the last one of Python's datetime


class Record(NamedTuple):
    """A new record. Write the value and the key first, and the marker last."""

    marker: int
    value: int
    key: bytes


def packed_count(cost: int) -> int:
    """What one request adds to the value of a record."""
    return cost << _HALF | 1


class SegmentHeader(NamedTuple):
    """The content of a header."""

    name: SegmentName
    size: int  # bytes of the whole file


def header_bytes(head: SegmentHeader) -> bytes:
    """The first bytes of a segment."""
    return _HEADER.pack(_MAGIC, head.name.journal.bytes, head.name.sequence, head.size, _seed(head.name) ^ head.size)


def read_header(data: bytes) -> SegmentHeader | None:
    """Parse the first bytes of a file; None when they are no complete header."""
    if len(data) < _HEADER.size:
        return None
    magic, journal, sequence, size, checksum = _HEADER.unpack_from(data)
    name = SegmentName(UUID(bytes=journal), sequence)
    return SegmentHeader(name, size) if magic == _MAGIC and checksum == _seed(name) ^ size else None


def new_record(name: SegmentName, counted: Counted, value: int) -> Record:
    """The record of this count in that segment."""
    route = _fitted(counted.route)
    code = _CODES[counted.kind]
    key = _KEY.pack(counted.tenant, counted.principal, counted.minute, code, counted.status_class, len(route), route)
    return Record(_MARKER | zlib.crc32(key, _seed(name)), value, key)


def key_slice(at: int) -> slice:
    """The position in the file of the key of record number ``at``."""
    return slice(at * RECORD_SIZE + _KEY_AT, (at + 1) * RECORD_SIZE)


def read_records(name: SegmentName, records: memoryview) -> Iterator[tuple[Counted, Count] | None]:
    """The counts of consecutive records; None for each damaged one."""
    seed = _seed(name)
    for at, (marker, value, *key) in enumerate(_RECORD.iter_unpack(records)):
        tenant, principal, minute, code, status_class, length, route = key
        whole = marker == _MARKER | zlib.crc32(records[key_slice(at)], seed) and value & _LOWER
        if whole and minute <= _LAST_MINUTE and code < len(_KINDS) and status_class in _CLASSES:
            counted = Counted(minute, tenant, principal, route[:length].decode(), status_class, _KINDS[code])
            yield counted, Count(value & _LOWER, value >> _HALF)
        else:
            yield None


def _seed(name: SegmentName) -> int:
    return zlib.crc32(name.journal.bytes + name.sequence.to_bytes(8, "big"))


def _fitted(route: str) -> bytes:
    # A template that is too long is cut, and ends with a digest that distinguishes it from others.
    encoded = route.encode()
    if len(encoded) <= _ROUTE_BYTES:
        return encoded
    digest = f"~{zlib.crc32(encoded):08x}".encode()
    return encoded[: _ROUTE_BYTES - len(digest)].decode(errors="ignore").encode() + digest
