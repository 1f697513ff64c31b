"""Versions of routes and upstreams in PostgreSQL: changes, concurrency, what is kept, rollback."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from gateway.features import Features, build_features
from tenants.audit.origin import COMMAND_LINE
from tenants.errors import FieldError, NotFound, PreconditionFailed, ValidationFailed
from tenants.routes.repository import KEPT
from tenants.routes.schemas import MOST_UPSTREAMS, Configuration, RouteSpec, TargetSpec, UpstreamSpec
from tenants.routes.service import Applied
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.gateways import settings_for

pytestmark = pytest.mark.anyio


@pytest.fixture
async def features(database_urls: DatabaseUrls) -> AsyncIterator[Features]:
    opened = build_features(settings_for(database_urls))
    yield opened
    await opened.close()


def _configuration(*, cost: int = 1) -> Configuration:
    upstream = UpstreamSpec(name="crm", targets=(TargetSpec(url="http://127.0.0.1:8080"),))
    route = RouteSpec(name="echo", upstream="crm", path="/echo", permission="echo:use", cost=cost)
    return Configuration(upstreams=(upstream,), routes=(route,))


async def _apply(features: Features, configuration: Configuration, *expected: int) -> Applied:
    async with features.database.control() as session:
        return await features.routes.apply(session, configuration, expected or None, origin=COMMAND_LINE)


async def test_a_version_is_what_was_applied_and_an_equal_one_is_not_made(features: Features) -> None:
    first = await _apply(features, _configuration())
    assert (first.version.number, [str(each) for each in first.changes]) == (
        2,
        ["upstream crm: created", "route echo: created"],
    )
    again = await _apply(features, _configuration())
    assert (again.version.number, again.changes) == (2, ())
    second = await _apply(features, _configuration(cost=5))
    assert [(each.before, each.after) for each in second.changes] == [({"cost": 1}, {"cost": 5})]
    assert await features.routes.read(features.database.control_reads) == second.version


async def test_of_two_changes_at_once_none_is_lost(features: Features) -> None:
    """The second waits for the first; one that expects the version before it is refused."""
    before = (await _apply(features, _configuration())).version.number
    found = await asyncio.gather(
        *(_apply(features, _configuration(cost=cost), before) for cost in (2, 3)), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in found) == ["Applied", "PreconditionFailed"]
    assert PreconditionFailed in {type(each) for each in found}
    async with features.database.control() as session:
        assert [each.number for each in await features.routes.versions(session)] == [3, 2, 1]


async def test_the_last_ten_versions_can_be_restored(features: Features) -> None:
    """The tenth before the current one, and not the eleventh."""
    for cost in range(1, KEPT + 3):
        newest = (await _apply(features, _configuration(cost=cost))).version.number
    async with features.database.control() as session:
        with pytest.raises(NotFound):
            await features.routes.rollback(session, newest - KEPT - 1, origin=COMMAND_LINE)
        restored = await features.routes.rollback(session, newest - KEPT, origin=COMMAND_LINE)
    assert (restored.version.number, restored.version.restored) == (newest + 1, newest - KEPT)
    assert restored.version.configuration == _configuration(cost=2)


async def test_one_object_is_not_put_in_force_with_an_invalid_rest(
    features: Features, database_urls: DatabaseUrls
) -> None:
    """As after a release that forbids what was stored before: the fault is named, and is not of the object."""
    stored = '{"routes": [{"name": "old", "upstream": "none", "path": "/old", "permission": "echo:use"}]}'
    with psycopg.connect(database_urls.owner) as owner:
        owner.execute("UPDATE tenantry.route_versions SET configuration = %s", (stored,))
    (upstream,) = _configuration().upstreams
    async with features.database.control() as session:
        with pytest.raises(ValidationFailed) as refused:
            await features.routes.create(session, upstream, origin=COMMAND_LINE)
    message = "The rest of the configuration is invalid at /routes/0/upstream."
    assert refused.value.errors == (FieldError("", "not_allowed", message),)


async def test_there_are_at_most_500_upstreams(features: Features) -> None:
    """LD1: one at a time, too."""
    one = _configuration().upstreams[0]
    many = tuple(one.model_copy(update={"name": f"u{number}"}) for number in range(MOST_UPSTREAMS - 1))
    await _apply(features, Configuration(upstreams=many))
    async with features.database.control() as session:
        await features.routes.create(session, one, origin=COMMAND_LINE)
        with pytest.raises(ValidationFailed) as refused:
            await features.routes.create(session, one.model_copy(update={"name": "more"}), origin=COMMAND_LINE)
    assert [(each.pointer, each.code) for each in refused.value.errors] == [("", "too_long")]
