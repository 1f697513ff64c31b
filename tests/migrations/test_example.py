"""The example's revisions match its models."""

import pytest

from examples.crm.resources import MIGRATIONS
from migrations.autogenerate import NothingChanged, resources_migration
from tests.fixtures.databases import DatabaseUrls


def test_the_examples_revisions_and_models_agree(database_urls: DatabaseUrls) -> None:
    """A column added to the example without a migration fails this test, and nothing is written."""
    before = sorted(MIGRATIONS.glob("*.py"))
    with pytest.raises(NothingChanged):
        resources_migration(database_urls.owner, "forgotten", MIGRATIONS)
    assert sorted(MIGRATIONS.glob("*.py")) == before
