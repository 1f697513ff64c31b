"""Decisions are counted exactly, in a bounded memory, and reach PostgreSQL in batches."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tenants.database.sessions import Database
from tenants.decisions.jobs import forget_old_decisions
from tenants.decisions.models import DAYS, NO_PRINCIPAL
from tenants.decisions.recorder import DecisionRecorder
from tenants.errors import Unavailable
from tenants.identifiers import TenantId, new_id
from tenants.principal import Principal, PrincipalKind, TenantRef, TenantStatus
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.tenants import add_tenant_row, open_database

pytestmark = pytest.mark.anyio

_READ, _DELETE = "contacts:read", "contacts:delete"


@pytest.fixture
def urls(module_database_urls: DatabaseUrls) -> DatabaseUrls:
    return module_database_urls


@pytest.fixture
async def database(urls: DatabaseUrls) -> AsyncIterator[Database]:
    async with open_database(urls.gateway) as opened:
        yield opened


async def _tenant(database: Database) -> TenantRef:
    async with database.control() as session:
        return await add_tenant_row(session, f"acme-{new_id().hex}")


def _principal(tenant: TenantRef, kind: PrincipalKind = PrincipalKind.API_KEY) -> Principal:
    return Principal(kind, new_id(), tenant, ("member",))


def _execute(urls: DatabaseUrls, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(urls.superuser, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []


def _stored(urls: DatabaseUrls, tenant: TenantRef) -> dict[tuple[UUID, str], tuple[list[int], list[int]]]:
    rows = _execute(
        urls,
        "SELECT principal_id, permission, allowed, denied FROM tenantry.decision_counts WHERE tenant_id = %s",
        tenant.id,
    )
    return {(principal, permission): (allowed, denied) for principal, permission, allowed, denied in rows}


def _count(recorder: DecisionRecorder, principals: Iterable[Principal], permission: str = _READ) -> None:
    for principal in principals:
        recorder.allowed(principal, permission)


async def test_every_decision_is_counted_once(database: Database, urls: DatabaseUrls) -> None:
    """AZ10: exactly, whatever object stands for a principal, and whenever batches are written; staff are left out."""
    tenant, random = await _tenant(database), Random(1)  # noqa: S311 - no secret is drawn
    recorder, principals = DecisionRecorder(database), [_principal(tenant) for _ in range(20)]
    expected: Counter[tuple[UUID, str, bool]] = Counter()
    for number in range(2_000):
        one, permission, allowed = random.choice(principals), random.choice([_READ, _DELETE]), random.random() < 0.7
        again = Principal(one.kind, one.id, tenant, one.roles) if random.random() < 0.3 else one
        (recorder.allowed if allowed else recorder.denied)(again, permission)
        recorder.allowed(_principal(tenant, PrincipalKind.OPERATOR), permission)
        expected[one.id, permission, allowed] += 1
        if number % 500 == 499:
            await recorder.flush()
    found = {
        (principal, permission, allowed): counts[0]
        for (principal, permission), both in _stored(urls, tenant).items()
        for allowed, counts in zip((True, False), both, strict=True)
    }
    assert found == expected
    assert (recorder.recorded, recorder.dropped, recorder.waiting) == (2_000, 0, 0)


async def test_what_exceeds_the_bounds_is_counted_without_its_principal(database: Database, urls: DatabaseUrls) -> None:
    """LD2: at the bounds of one tenant and of all, and one beyond each; known pairs are counted on."""
    flooding, *others = [await _tenant(database) for _ in range(8)]
    recorder = DecisionRecorder(database, most=8)
    first, second, third = (_principal(flooding) for _ in range(3))
    _count(recorder, [first, second])  # a quarter of all
    assert set(recorder._cells) == {(flooding.id, each.id, _READ) for each in (first, second)}
    _count(recorder, [third, third, first])
    fitting = [_principal(tenant) for tenant in others[:5]]
    _count(recorder, [*fitting, _principal(others[5])])
    await recorder.flush()
    assert _stored(urls, flooding) == {
        (first.id, _READ): ([2], [0]),
        (second.id, _READ): ([1], [0]),
        (NO_PRINCIPAL, ""): ([2], [0]),
    }
    assert [list(_stored(urls, tenant)) for tenant in others[:5]] == [[(each.id, _READ)] for each in fitting]
    assert list(_stored(urls, others[5])) == [(NO_PRINCIPAL, "")]
    assert (recorder.recorded, recorder.dropped) == (8, 3)


async def test_nothing_grows_without_a_bound(database: Database) -> None:
    """LD4: a flood of principals of a flood of tenants, each with objects of its own for every request."""
    recorder = DecisionRecorder(database, most=8)
    for number in range(100):
        tenant = TenantRef(TenantId(new_id()), str(number), TenantStatus.ACTIVE, "t", "t", "free")
        first, second = _principal(tenant), _principal(tenant)
        _count(recorder, [first, second, first, second])
    assert len(recorder._cells) == 16
    assert len(recorder._by_identity) <= 16
    assert len(recorder._kept_alive) <= 16
    assert recorder.dropped + recorder.waiting == 400


async def test_an_outage_loses_nothing(database: Database, urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> None:
    """OP3: what PostgreSQL does not take now is written later, with what was counted meanwhile."""
    tenant = await _tenant(database)
    recorder, principal = DecisionRecorder(database), _principal(tenant)

    def down(*_: Any) -> None:
        raise Unavailable(detail="down")

    with monkeypatch.context() as patch:
        patch.setattr(database, "control", down)
        for _ in range(3):
            recorder.allowed(principal, _READ)
            await recorder.flush()
        recorder.denied(principal, _READ)
    assert (recorder.waiting, recorder.recorded) == (4, 0)
    await recorder.close()
    assert _stored(urls, tenant) == {(principal.id, _READ): ([3], [1])}


async def test_a_tenant_that_is_gone_takes_its_counts_along(database: Database, urls: DatabaseUrls) -> None:
    """IS8: those that are stored, and those that are still in memory; the same batch has those of others."""
    gone, other = await _tenant(database), await _tenant(database)
    recorder, principals = DecisionRecorder(database), [_principal(gone), _principal(other)]
    _count(recorder, principals)
    await recorder.flush()
    _count(recorder, principals)
    _execute(urls, "DELETE FROM tenantry.tenants WHERE id = %s", gone.id)
    await recorder.flush()
    assert _stored(urls, gone) == {}
    assert _stored(urls, other) == {(principals[1].id, _READ): ([2], [0])}


async def test_each_day_has_its_count(database: Database, urls: DatabaseUrls) -> None:
    """AZ10: over days with and without decisions; what is older than the period leaves the row."""
    tenant, random = await _tenant(database), Random(2)  # noqa: S311 - no secret is drawn
    recorder, principal = DecisionRecorder(database), _principal(tenant)
    expected: list[int] = []
    for number, passed in enumerate([0, 0, 1, 3, 1, 0, 2, 7, 1, 8, 1, 30]):
        _execute(urls, "UPDATE tenantry.decision_counts SET day = day - %s WHERE tenant_id = %s", passed, tenant.id)
        if passed or not expected:
            expected = [0] * min(passed or 1, DAYS) + expected
        times = random.randint(1, 9)
        _count(recorder, [principal] * times)
        await recorder.flush()
        expected = [expected[0] + times, *expected[1:]][:DAYS]
        assert _stored(urls, tenant)[principal.id, _READ][0] == expected, f"step {number}"
    _execute(urls, "UPDATE tenantry.decision_counts SET day = day + 1 WHERE tenant_id = %s", tenant.id)
    _count(recorder, [principal])
    await recorder.flush()  # as of a transaction that began before midnight
    assert _stored(urls, tenant)[principal.id, _READ][0] == [expected[0] + 1, *expected[1:]]


async def test_old_counts_are_deleted(database: Database, urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> None:
    """AZ10: a row goes when its last day is out of the period, however many there are."""
    monkeypatch.setattr("tenants.decisions.jobs._MOST", 2)
    tenant = await _tenant(database)
    recorder, principals = DecisionRecorder(database), [_principal(tenant) for _ in range(7)]
    _count(recorder, principals)
    await recorder.flush()
    today = datetime.now(UTC).date()
    for principal, age in zip(principals, (0, DAYS - 1, DAYS, DAYS, DAYS, DAYS, DAYS + 30), strict=True):
        _execute(
            urls,
            "UPDATE tenantry.decision_counts SET day = %s WHERE principal_id = %s",
            today - timedelta(days=age),
            principal.id,
        )
    await forget_old_decisions(database)
    assert set(_stored(urls, tenant)) == {(each.id, _READ) for each in principals[:2]}


async def test_workers_that_count_the_same_do_not_deadlock(database: Database, urls: DatabaseUrls) -> None:
    """OP4: every batch locks its rows in one order."""
    tenants = [await _tenant(database) for _ in range(3)]
    principals = [_principal(tenant) for tenant in tenants for _ in range(50)]
    recorders = [DecisionRecorder(database) for _ in range(4)]
    for _ in range(10):
        for number, recorder in enumerate(recorders):
            _count(recorder, principals[:: 1 - 2 * (number % 2)])
        await asyncio.gather(*(recorder.flush() for recorder in recorders))
    stored = {key: counts for tenant in tenants for key, counts in _stored(urls, tenant).items()}
    assert stored == {(each.id, _READ): ([40], [0]) for each in principals}
