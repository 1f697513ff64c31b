"""`tenantry resources migration`: the next revision of a SaaS's tables, written from its models."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Column, ForeignKey, Index, Integer, MetaData, String, Table, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from migrations.autogenerate import NothingChanged, SeveralHeads, missing_operations, resources_migration
from migrations.runner import migrate_tenants
from tenants.database.base import TenantModel
from tests.fixtures.catalog import schemas_and_roles
from tests.fixtures.databases import DatabaseUrls


def _models(*more: Column[Any]) -> MetaData:
    models = MetaData(naming_convention=TenantModel.metadata.naming_convention)
    Table("notes", models, Column("id", Uuid, primary_key=True), Column("about", JSONB, nullable=False), *more)
    replies = Table("replies", models, Column("id", Uuid, primary_key=True))
    replies.append_column(Column("note_id", ForeignKey("notes.id"), nullable=False))
    replies.append_column(Column("stars", Integer, server_default="3"))
    Index(None, replies.c.note_id, replies.c.id)
    return models


@pytest.fixture
def location(tmp_path: Path) -> Path:
    """The folder of a SaaS's revisions; its parent's name is the prefix of theirs."""
    folder = tmp_path / "shop" / "migrations"
    folder.mkdir(parents=True)
    return folder


def test_the_first_revision_creates_the_tables_of_the_models(database_urls: DatabaseUrls, location: Path) -> None:
    path = resources_migration(database_urls.owner, "Notes and replies", location, models=_models())
    assert path == location / "shop_0001_notes_and_replies.py"
    with pytest.raises(NothingChanged):
        resources_migration(database_urls.owner, "Again", location, models=_models())
    assert migrate_tenants(database_urls.owner, (location,)).revisions == ("shop_0001", "tenantry_0003")


def test_the_next_revision_contains_the_changes(database_urls: DatabaseUrls, location: Path) -> None:
    resources_migration(database_urls.owner, "Notes", location, models=_models())
    changed = _models(Column("title", String(80)))
    text = resources_migration(database_urls.owner, "Titles", location, models=changed).read_text()
    assert "op.add_column('notes', sa.Column('title', sa.String(length=80), nullable=True))" in text
    assert 'down_revision: str | tuple[str, ...] | None = "shop_0001"' in text
    assert "downgrade" not in text
    with pytest.raises(NothingChanged):
        resources_migration(database_urls.owner, "Again", location, models=changed)


def test_writing_a_revision_leaves_the_database_unchanged(database_urls: DatabaseUrls, location: Path) -> None:
    """The scratch schema is rolled back, and no tenant is migrated."""
    before = schemas_and_roles(database_urls.superuser)
    resources_migration(database_urls.owner, "Notes", location, models=_models())
    assert schemas_and_roles(database_urls.superuser) == before
    with psycopg.connect(database_urls.superuser) as connection:
        query = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE '%scratch%'"
        assert connection.execute(query).fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM tenantry.tenant_blueprints").fetchone() == (0,)


def test_two_revisions_with_the_same_parent_are_rejected(database_urls: DatabaseUrls, location: Path) -> None:
    first = resources_migration(database_urls.owner, "Notes", location, models=_models())
    twin = first.read_text().replace('"shop_0001"', '"shop_other"').replace('("shop",)', "None")
    (location / "shop_other.py").write_text(twin)
    with pytest.raises(SeveralHeads, match="shop_0001, shop_other"):
        resources_migration(database_urls.owner, "More", location, models=_models(Column("title", String(80))))


@pytest.mark.parametrize(
    ("folder", "revision"), [("my-shop", "my_shop_0001"), ("3D Shop", "r_3d_shop_0001"), ("s" * 40, "s" * 25 + "_0001")]
)
def test_any_name_of_a_folder_begins_a_revision(
    database_urls: DatabaseUrls, tmp_path: Path, folder: str, revision: str
) -> None:
    """A project's folder may be named as its repository is."""
    location = tmp_path / folder / "migrations"
    location.mkdir(parents=True)
    assert missing_operations(database_urls.owner, location, models=_models())
    written = resources_migration(database_urls.owner, "Notes", location, models=_models())
    assert written.name == f"{revision}_notes.py"
    assert not missing_operations(database_urls.owner, location, models=_models())
