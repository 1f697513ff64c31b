"""Which revisions a release serves: the bound, one beyond it, and revisions of later releases."""

from dataclasses import replace
from pathlib import Path

import pytest

from examples.crm.contacts import contacts
from migrations.servable import Release, needed_columns
from tenants.resources.collection import collections_of
from tenants.resources.errors import DeclarationError
from tenants.resources.registry import Registry
from tests.fixtures.tenants import write_revision

_OWN = "tenantry_0003"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in (1, 2, 3):
        write_revision(tmp_path / "saas", number, "pass")
    return tmp_path / "saas"


def release(folder: Path, oldest: str | None) -> Release:
    return Release.of(Registry(migrations=(folder,), oldest_servable=oldest))


@pytest.mark.parametrize(
    "revisions",
    [
        ("saas_0002", _OWN),  # exactly the oldest
        ("saas_0003", _OWN),
        ("saas_0004", _OWN),  # of the next release
        ("saas_0003", "tenantry_0004"),  # of the next version of Tenantry
        ("saas_0004", "tenantry_0004"),
    ],
)
def test_a_schema_is_served_from_the_oldest_revision_on(folder: Path, revisions: tuple[str, ...]) -> None:
    """OP6, OP4."""
    assert release(folder, "saas_0002").serves(revisions, None)


@pytest.mark.parametrize(
    "revisions",
    [
        ("saas_0001", _OWN),  # one before the oldest
        (_OWN,),  # before the first of the project
        (),  # not migrated
        ("saas_0001", "tenantry_0004"),  # newer in Tenantry's branch, older in the project's
    ],
)
def test_an_older_schema_is_not_served(folder: Path, revisions: tuple[str, ...]) -> None:
    """OP6."""
    assert not release(folder, "saas_0002").serves(revisions, None)


def test_a_revision_of_tenantry_itself_can_be_the_oldest(folder: Path) -> None:
    """OP6: a project's first revision depends on Tenantry's, and counts as later than it."""
    assert release(folder, "tenantry_0001").serves(("saas_0001",), None)
    assert release(folder, _OWN).serves(("saas_0001", _OWN), None)
    assert not release(folder, _OWN).serves(("saas_0001",), None)


def test_every_revision_is_served_when_none_is_named(folder: Path) -> None:
    for revisions in ((), ("saas_0001",), ("saas_0009",)):
        assert release(folder, None).serves(revisions, None)


def test_an_older_schema_must_have_every_declared_column(folder: Path) -> None:
    """OP6: one column less is refused, one more is not; what is not recorded is no reason to refuse."""
    needed = needed_columns(collections_of((contacts,)))
    assert {"contacts.email", "contacts.version", "tenantry_events.sequence"} <= needed
    code, older = replace(release(folder, None), columns=needed), ("saas_0002", _OWN)
    assert code.serves(older, needed)
    assert code.serves(older, needed | {"contacts.nickname"})
    assert not code.serves(older, needed - {"contacts.email"})
    assert code.serves(older, None)


@pytest.mark.parametrize("revisions", [("saas_0003", _OWN), ("saas_0004", _OWN)])
def test_a_schema_at_the_own_revisions_or_newer_is_served(folder: Path, revisions: tuple[str, ...]) -> None:
    """OP4, OP6: only what is older than the release gets 503, because a migration would help it."""
    assert replace(release(folder, None), columns=frozenset({"contacts.email"})).serves(revisions, ())


def test_revisions_that_cannot_be_read_are_an_error_at_start(folder: Path) -> None:
    (folder / "saas_0004.py").write_text("1 / 0")
    with pytest.raises(DeclarationError, match="division by zero"):
        release(folder, None)


def test_an_unknown_oldest_revision_is_an_error_at_start(folder: Path) -> None:
    with pytest.raises(DeclarationError, match="saas_0004"):
        release(folder, "saas_0004")
