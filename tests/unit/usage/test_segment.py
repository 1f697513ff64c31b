"""A segment's bytes: what is whole is read, what is not is told, and nothing is ever read as something else."""

import os
import shutil
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.usage.counts import Count, Counted
from gateway.usage.abandoned import take
from gateway.usage.layout import SLOT, Head, header, place_key, slot, word
from gateway.usage.names import SegmentName, segments_in
from gateway.usage.reading import Reading, read_segment
from tenants.principal import PrincipalKind

_NAME = SegmentName(UUID(int=7), 3)
_SLOTS = 8


def _counted(number: int, route: str = "/v1/contacts/{id}") -> Counted:
    return Counted(29_000_000, UUID(int=1).bytes, UUID(int=number).bytes, route, 2, PrincipalKind.API_KEY)


def _bytes(*counted: Counted, name: SegmentName = _NAME) -> bytearray:
    size = (_SLOTS + 1) * SLOT
    data = bytearray(header(Head(name, size)).ljust(size, b"\0"))
    for at, each in enumerate(counted, start=1):
        made = slot(name, each, word(5) * 3)
        data[place_key(at)] = made.key
        data[at * SLOT : at * SLOT + 16] = made.mark.to_bytes(8, "little") + made.value.to_bytes(8, "little")
    return data


def _read(data: bytes | bytearray, name: SegmentName = _NAME) -> Reading:
    return read_segment(name, bytes(data))


def test_what_was_written_is_read_back() -> None:
    users = _counted(9)._replace(kind=PrincipalKind.USER, status_class=5, route="unmatched")
    reading = _read(_bytes(_counted(1), _counted(2), users))
    assert reading.counts == dict.fromkeys((_counted(1), _counted(2), users), Count(3, 15))
    assert reading.damage == []


@pytest.mark.parametrize("stored", [0, 1, 2])
def test_a_worker_killed_between_the_stores_of_a_new_slot_leaves_no_slot_and_no_damage(stored: int) -> None:
    """Key, value, mark: until the last of them the request was not answered, and nothing is counted of it."""
    data, whole = _bytes(_counted(1)), _bytes(_counted(1), _counted(2))
    for part in (place_key(2), slice(2 * SLOT + 8, 2 * SLOT + 16))[:stored]:
        data[part] = whole[part]
    reading = _read(data)
    assert list(reading.counts) == [_counted(1)]
    assert reading.damage == []


def test_a_slot_whose_key_was_damaged_is_told_and_the_others_are_kept() -> None:
    data = _bytes(_counted(1), _counted(2), _counted(3))
    data[2 * SLOT + 40] ^= 0x10
    reading = _read(data)
    assert list(reading.counts) == [_counted(1), _counted(3)]
    assert reading.damage == ["1 of 3 slots cannot be read"]


def test_a_slot_that_lost_its_mark_is_told_when_others_follow() -> None:
    data = _bytes(_counted(1), _counted(2))
    data[SLOT : SLOT + 8] = bytes(8)
    reading = _read(data)
    assert list(reading.counts) == [_counted(2)]
    assert reading.damage == ["1 of 2 slots cannot be read"]


def test_a_file_that_was_cut_off_gives_its_whole_slots() -> None:
    reading = _read(_bytes(_counted(1), _counted(2), _counted(3))[: 3 * SLOT + 100])
    assert list(reading.counts) == [_counted(1), _counted(2)]
    assert reading.damage == [f"{3 * SLOT + 100} bytes are left of {(_SLOTS + 1) * SLOT}"]


def test_a_file_without_its_header_gives_its_slots_by_its_name() -> None:
    data = _bytes(_counted(1))
    data[:SLOT] = os.urandom(SLOT)
    reading = _read(data)
    assert list(reading.counts) == [_counted(1)]
    assert reading.damage == ["its header is not whole"]


def test_a_copy_under_another_name_counts_nothing() -> None:
    """Its counts belong to the batch that its header names: they would be added twice."""
    reading = _read(_bytes(_counted(1)), SegmentName(_NAME.journal, 4))
    assert reading.counts == {}
    assert reading.damage == ["its header names another segment"]


def test_slots_of_another_segment_are_not_taken_for_ones_of_this_even_without_a_header() -> None:
    data = _bytes(_counted(1), name=SegmentName(_NAME.journal, 4))
    data[:SLOT] = bytes(SLOT)
    reading = _read(data)
    assert reading.counts == {}
    assert reading.lost == 1


@given(at=st.integers(min_value=0, max_value=5 * SLOT - 1), bits=st.integers(min_value=1, max_value=255))
def test_no_damaged_byte_makes_a_count_of_something_else(at: int, bits: int) -> None:
    """Whatever byte is changed: what is read is what was written, or it is missing."""
    written = [_counted(number) for number in range(1, 5)]
    data = _bytes(*written)
    data[at] ^= bits
    assert set(_read(data).counts) <= set(written)


@given(length=st.integers(min_value=0, max_value=9 * SLOT))
def test_any_part_of_a_file_can_be_read(length: int) -> None:
    reading = _read(_bytes(_counted(1), _counted(2))[:length])
    assert len(reading.counts) == min(2, max(0, length // SLOT - 1))


@given(st.text(min_size=1, max_size=400).filter(lambda text: "\0" not in text))
def test_a_template_of_any_length_has_a_slot(route: str) -> None:
    try:
        encoded = route.encode()
    except UnicodeEncodeError:
        return
    (read,) = _read(_bytes(_counted(1, route))).counts
    assert len(read.route.encode()) <= 132
    assert (read.route == route) is (len(encoded) <= 132)


def test_long_templates_that_begin_alike_are_told_apart() -> None:
    first, second = (_counted(1, "/v1" + "/long" * 40 + end) for end in ("/a", "/b"))
    assert len(_read(_bytes(first, second)).counts) == 2


def test_a_file_of_zeros_is_one_that_was_never_finished() -> None:
    assert _read(bytes(500)) == Reading(_NAME)
    assert _read(b"") == Reading(_NAME)


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    name = SegmentName(uuid4(), 1)
    (tmp_path / name.file).write_bytes(_bytes(name=name))
    for other in ("notes.txt", f"{name.file}.damaged", "0" * 31 + "-0000000001.usage"):
        shutil.copy(tmp_path / name.file, tmp_path / other)
    assert list(segments_in(tmp_path)) == [name]
    (found,) = take(tmp_path, 10)
    found.discard()
    assert len(list(tmp_path.iterdir())) == 3
