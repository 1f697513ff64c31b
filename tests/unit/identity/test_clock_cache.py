"""The bounded map under the principal cache."""

import random

from gateway.identity.clock_cache import _MAX_STEPS, ClockCache
from gateway.identity.row_versions import RowVersion


def _put(entries: ClockCache[int], number: int, *, version: RowVersion | None = None) -> None:
    entry = entries.place(b"%d" % number, (f"api_key {number}",))
    entry.value = number
    entry.tenant = entry.user = version or RowVersion()


def _use(entries: ClockCache[int], number: int) -> bool:
    entry = entries.get(b"%d" % number)
    if entry is not None:
        entry.recently_used = True
    return entry is not None


def test_an_entry_in_regular_use_is_not_evicted() -> None:
    """A flood of keys that are used once evicts none in regular use."""
    entries: ClockCache[int] = ClockCache(10)
    for number in range(1000):
        _put(entries, number)
        _use(entries, 0)
    assert _use(entries, 0)
    assert len(entries) == len(entries._ring) == len(entries._by_own) == 10


def test_an_invalid_entry_is_evicted_before_a_valid_one() -> None:
    """It must be loaded again anyway."""
    entries: ClockCache[int] = ClockCache(10)
    changed = RowVersion()
    for number in range(10):
        _put(entries, number, version=changed if number == 7 else None)
        _use(entries, number)
    changed.current = False
    _put(entries, 10)
    assert [number for number in range(11) if _use(entries, number)] == [0, 1, 2, 3, 4, 5, 6, 8, 9, 10]


def test_an_eviction_checks_few_entries() -> None:
    """A request must not wait for a walk over 200,000 entries in use."""
    entries: ClockCache[int] = ClockCache(10 * _MAX_STEPS)
    for number in range(10 * _MAX_STEPS):
        _put(entries, number)
        _use(entries, number)
    _put(entries, -1)
    assert sum(not entry.recently_used for entry in entries._ring) == _MAX_STEPS + 1


def test_no_entry_and_no_tag_leaks() -> None:
    """Keys that are revoked, loaded again under other tags, and dropped leave nothing behind."""
    entries: ClockCache[int] = ClockCache(50)
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
        assert entry.value == number


def test_a_dropped_entry_releases_its_subject() -> None:
    """A free entry keeps no principal alive."""
    entries: ClockCache[int] = ClockCache(2)
    _put(entries, 1)
    entries.drop(b"1")
    assert entries._ring[0].value is None
    assert entries._ring[0].own == ()


def test_a_credential_placed_again_has_only_its_new_tags() -> None:
    """The former tags are dropped."""
    entries: ClockCache[int] = ClockCache(2)
    entries.place(b"1", ("api_key old",))
    entries.place(b"1", ("api_key new",))
    entries.drop_own("api_key old")
    assert len(entries) == len(entries._by_own) == 1
    entries.drop_own("api_key new")
    assert len(entries) == len(entries._by_own) == 0
