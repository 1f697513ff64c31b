"""Versions of rows that many credentials were made from."""

from gateway.identity.row_versions import RowVersions


def test_a_change_ends_earlier_versions_and_no_later_one() -> None:
    """ID4: in one step for all entries of the row."""
    versions = RowVersions()
    before, other = versions.of("tenant 1"), versions.of("tenant 2")
    assert versions.of("tenant 1") is before
    versions.end("tenant 1")
    assert not before.current
    assert other.current
    assert versions.of("tenant 1").current


def test_a_reset_ends_all_versions_and_that_of_entries_without_a_row() -> None:
    """ID4: an operator, a refusal."""
    versions = RowVersions()
    held = [versions.of("tenant 1"), versions.of("user 1"), versions.of(None)]
    versions.end_all()
    assert not any(version.current for version in held)
    assert versions.of("tenant 1").current
    assert versions.of(None).current


def test_an_unused_version_is_freed() -> None:
    """Bounded by the cache, for any number of tenants."""
    versions = RowVersions()
    held = [versions.of(f"tenant {number % 3}") for number in range(1000)]
    for number in range(1000):
        versions.of(f"other {number}")
    assert len(versions) == 3
    held.clear()
    assert len(versions) == 0
