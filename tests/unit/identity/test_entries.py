"""The bounded memory under the principal cache."""

import random

from gateway.identity.entries import _SPARED, Entries
from gateway.identity.versions import Version


def _put(entries: Entries[int], number: int, *, version: Version | None = None) -> None:
    entry = entries.place(b"%d" % number, (f"api_key {number}",))
    entry.what = number
    entry.tenant = entry.user = version or Version()


def _use(entries: Entries[int], number: int) -> bool:
    entry = entries.get(b"%d" % number)
    if entry is not None:
        entry.visited = True
    return entry is not None


def test_the_one_that_is_used_between_others_stays_whatever_passes_through() -> None:
    """Bounded, and of use: a flood of keys that come once evicts none that comes often."""
    entries: Entries[int] = Entries(10)
    for number in range(1000):
        _put(entries, number)
        _use(entries, 0)
    assert _use(entries, 0)
    assert len(entries) == len(entries._ring) == len(entries._by_own) == 10


def test_a_void_one_makes_room_before_one_that_holds() -> None:
    """What must be loaded again anyway is missed least."""
    entries: Entries[int] = Entries(10)
    changed = Version()
    for number in range(10):
        _put(entries, number, version=changed if number == 7 else None)
        _use(entries, number)
    changed.current = False
    _put(entries, 10)
    assert [number for number in range(11) if _use(entries, number)] == [0, 1, 2, 3, 4, 5, 6, 8, 9, 10]


def test_making_room_never_looks_at_more_than_a_few() -> None:
    """A memory of 200,000 that are all in use is not walked through while a request waits."""
    entries: Entries[int] = Entries(10 * _SPARED)
    for number in range(10 * _SPARED):
        _put(entries, number)
        _use(entries, number)
    _put(entries, -1)
    assert sum(not entry.visited for entry in entries._ring) == _SPARED + 1


def test_whatever_comes_and_goes_the_memory_is_as_large_as_what_it_holds() -> None:
    """Bounded: keys revoked, loaded again under other names, and dropped leave no place taken and no name behind."""
    entries: Entries[int] = Entries(50)
    choice = random.Random(20261124)  # noqa: S311 - repeatable on purpose
    held: set[int] = set()
    for _ in range(20_000):
        number = choice.randrange(100)
        if choice.random() < 0.5:
            _put(entries, number)
        elif choice.random() < 0.5:
            entries.drop(b"%d" % number)
        else:
            entries.drop_own(f"api_key {number}")
        held = {number for number in range(100) if entries.get(b"%d" % number)}
        assert len(entries) == len(entries._by_own) == len(held) <= 50
    assert len(entries._ring) == 50
    assert len(entries._free) == 50 - len(held)
    for number in held:
        entry = entries.get(b"%d" % number)
        assert entry is not None
        assert entry.what == number


def test_an_entry_that_was_dropped_holds_nothing_of_its_subject() -> None:
    """What is free keeps no principal alive."""
    entries: Entries[int] = Entries(2)
    _put(entries, 1)
    entries.drop(b"1")
    assert entries._ring[0].what is None
    assert entries._ring[0].own == ()


def test_a_credential_that_is_placed_again_is_found_by_its_new_names_alone() -> None:
    """Bounded: what it was called before is forgotten."""
    entries: Entries[int] = Entries(2)
    entries.place(b"1", ("api_key old",))
    entries.place(b"1", ("api_key new",))
    entries.drop_own("api_key old")
    assert len(entries) == len(entries._by_own) == 1
    entries.drop_own("api_key new")
    assert len(entries) == len(entries._by_own) == 0
