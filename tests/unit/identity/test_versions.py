"""Versions of rows that many credentials were made from."""

from gateway.identity.versions import Versions


def test_a_change_ends_what_was_made_before_and_nothing_that_is_made_after() -> None:
    """ID4: in one step, for as many as share the row."""
    versions = Versions()
    before, other = versions.of("tenant 1"), versions.of("tenant 2")
    assert versions.of("tenant 1") is before
    versions.end("tenant 1")
    assert not before.current
    assert other.current
    assert versions.of("tenant 1").current


def test_a_reset_ends_all_also_what_hangs_on_no_row() -> None:
    """ID4: an operator, a refusal."""
    versions = Versions()
    held = [versions.of("tenant 1"), versions.of("user 1"), versions.of(None)]
    versions.end_all()
    assert not any(version.current for version in held)
    assert versions.of("tenant 1").current
    assert versions.of(None).current


def test_what_nobody_holds_is_not_remembered() -> None:
    """Bounded by what is remembered, however many tenants have passed through."""
    versions = Versions()
    held = [versions.of(f"tenant {number % 3}") for number in range(1000)]
    for number in range(1000):
        versions.of(f"other {number}")
    assert len(versions) == 3
    held.clear()
    assert len(versions) == 0
