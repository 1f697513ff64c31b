"""The bytes of a segment: intact records are read, damaged ones are reported, and none is misread."""

import os
import shutil
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.usage.counts import Count, Counted
from gateway.usage.abandoned import take_abandoned
from gateway.usage.layout import RECORD_SIZE, SegmentHeader, header_bytes, key_slice, new_record, packed_count
from gateway.usage.names import SegmentName, segments_in
from gateway.usage.reading import Reading, read_segment
from tenants.principal import PrincipalKind

_NAME = SegmentName(UUID(int=7), 3)
_RECORDS = 8


def _counted(number: int, route: str = "/v1/contacts/{id}") -> Counted:
    return Counted(29_000_000, UUID(int=1).bytes, UUID(int=number).bytes, route, 2, PrincipalKind.API_KEY)


def _bytes(*counted: Counted, name: SegmentName = _NAME) -> bytearray:
    size = (_RECORDS + 1) * RECORD_SIZE
    data = bytearray(header_bytes(SegmentHeader(name, size)).ljust(size, b"\0"))
    for at, each in enumerate(counted, start=1):
        made = new_record(name, each, packed_count(5) * 3)
        data[key_slice(at)] = made.key
        data[at * RECORD_SIZE : at * RECORD_SIZE + 16] = made.marker.to_bytes(8, "little") + made.value.to_bytes(
            8, "little"
        )
    return data


def _read(data: bytes | bytearray, name: SegmentName = _NAME) -> Reading:
    return read_segment(name, bytes(data))


def test_what_was_written_is_read_back() -> None:
    users = _counted(9)._replace(kind=PrincipalKind.USER, status_class=5, route="unmatched")
    reading = _read(_bytes(_counted(1), _counted(2), users))
    assert reading.counts == dict.fromkeys((_counted(1), _counted(2), users), Count(3, 15))
    assert reading.damage == []


@pytest.mark.parametrize("stored", [0, 1, 2])
def test_a_worker_killed_while_it_stores_a_record_leaves_no_record_and_no_damage(stored: int) -> None:
    """Key, value, marker: before the last store the request had no response, and is not counted."""
    data, whole = _bytes(_counted(1)), _bytes(_counted(1), _counted(2))
    for part in (key_slice(2), slice(2 * RECORD_SIZE + 8, 2 * RECORD_SIZE + 16))[:stored]:
        data[part] = whole[part]
    reading = _read(data)
    assert list(reading.counts) == [_counted(1)]
    assert reading.damage == []


def test_a_record_with_a_damaged_key_is_reported_and_the_others_are_read() -> None:
    data = _bytes(_counted(1), _counted(2), _counted(3))
    data[2 * RECORD_SIZE + 40] ^= 0x10
    reading = _read(data)
    assert list(reading.counts) == [_counted(1), _counted(3)]
    assert reading.damage == ["1 of 3 records are damaged"]


def test_a_record_without_a_marker_before_others_is_reported() -> None:
    data = _bytes(_counted(1), _counted(2))
    data[RECORD_SIZE : RECORD_SIZE + 8] = bytes(8)
    reading = _read(data)
    assert list(reading.counts) == [_counted(2)]
    assert reading.damage == ["1 of 2 records are damaged"]


def test_the_complete_records_of_a_truncated_file_are_read() -> None:
    reading = _read(_bytes(_counted(1), _counted(2), _counted(3))[: 3 * RECORD_SIZE + 100])
    assert list(reading.counts) == [_counted(1), _counted(2)]
    assert reading.damage == [f"truncated: {3 * RECORD_SIZE + 100} of {(_RECORDS + 1) * RECORD_SIZE} bytes"]


def test_the_records_of_a_file_without_a_header_are_read_by_its_name() -> None:
    data = _bytes(_counted(1))
    data[:RECORD_SIZE] = os.urandom(RECORD_SIZE)
    reading = _read(data)
    assert list(reading.counts) == [_counted(1)]
    assert reading.damage == ["the header is incomplete"]


def test_a_copy_under_another_name_is_not_counted() -> None:
    """Its counts belong to the batch that its header names: they would be added twice."""
    reading = _read(_bytes(_counted(1)), SegmentName(_NAME.journal, 4))
    assert reading.counts == {}
    assert reading.damage == ["the header names another segment"]


def test_records_of_another_segment_are_damaged_even_without_a_header() -> None:
    data = _bytes(_counted(1), name=SegmentName(_NAME.journal, 4))
    data[:RECORD_SIZE] = bytes(RECORD_SIZE)
    reading = _read(data)
    assert reading.counts == {}
    assert reading.lost == 1


@given(at=st.integers(min_value=0, max_value=5 * RECORD_SIZE - 1), bits=st.integers(min_value=1, max_value=255))
def test_no_damaged_byte_changes_what_is_counted(at: int, bits: int) -> None:
    """For any byte: what is read was written, or is missing."""
    written = [_counted(number) for number in range(1, 5)]
    data = _bytes(*written)
    data[at] ^= bits
    assert set(_read(data).counts) <= set(written)


@given(length=st.integers(min_value=0, max_value=9 * RECORD_SIZE))
def test_a_file_of_any_length_can_be_read(length: int) -> None:
    reading = _read(_bytes(_counted(1), _counted(2))[:length])
    assert len(reading.counts) == min(2, max(0, length // RECORD_SIZE - 1))


@given(st.text(min_size=1, max_size=400).filter(lambda text: "\0" not in text))
def test_a_template_of_any_length_has_a_record(route: str) -> None:
    try:
        encoded = route.encode()
    except UnicodeEncodeError:
        return
    (read,) = _read(_bytes(_counted(1, route))).counts
    assert len(read.route.encode()) <= 132
    assert (read.route == route) is (len(encoded) <= 132)


def test_long_templates_with_one_prefix_are_distinct() -> None:
    first, second = (_counted(1, "/v1" + "/long" * 40 + end) for end in ("/a", "/b"))
    assert len(_read(_bytes(first, second)).counts) == 2


def test_a_file_of_zeros_is_empty_and_undamaged() -> None:
    assert _read(bytes(500)) == Reading(_NAME)
    assert _read(b"") == Reading(_NAME)


def test_other_files_in_the_folder_are_ignored(tmp_path: Path) -> None:
    name = SegmentName(uuid4(), 1)
    (tmp_path / name.file).write_bytes(_bytes(name=name))
    for other in ("notes.txt", f"{name.file}.damaged", "0" * 31 + "-0000000001.usage"):
        shutil.copy(tmp_path / name.file, tmp_path / other)
    assert list(segments_in(tmp_path)) == [name]
    (found,) = take_abandoned(tmp_path, 10)
    found.discard()
    assert len(list(tmp_path.iterdir())) == 3
