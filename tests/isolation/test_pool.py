"""IS2, IS4: a connection carries nothing from one transaction, or one tenant, to the next."""

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tenants.database.names import tenant_role, tenant_schema
from tenants.database.sessions import TenantSession
from tenants.errors import Unavailable
from tenants.identifiers import TenantId, new_id
from tests.isolation.conftest import TenantPairFactory
from tests.isolation.tenant_pair import ROWS, TenantPair

pytestmark = pytest.mark.anyio

_BODIES = text("SELECT body FROM notes ORDER BY id")
_CURRENT_USER = text("SELECT current_user")


class Refused(Exception):
    pass


async def _commit(session: TenantSession) -> None:
    await session.execute(_BODIES)


async def _raise(session: TenantSession) -> None:
    await session.execute(_BODIES)
    raise Refused


async def _fail_in_sql(session: TenantSession) -> None:
    await session.execute(text("SELECT 1 / 0"))


async def _fail_at_commit(session: TenantSession) -> None:
    await session.execute(text("INSERT INTO replies (note_id) VALUES (-1)"))  # a deferred foreign key


async def _take_too_long(session: TenantSession) -> None:
    await session.execute(text("SELECT pg_sleep(60)"))


async def _roll_back_and_go_on(session: TenantSession) -> None:
    """A savepoint's end gives back nothing of the transaction's own role."""
    with pytest.raises(DBAPIError):
        async with session.begin_nested():
            await session.execute(text("SELECT 1 / 0"))
    assert (await session.execute(_CURRENT_USER)).scalar_one() == session.tenant.role


_ENDS: dict[str, tuple[Callable[[TenantSession], Awaitable[None]], type[Exception] | None]] = {
    "commit": (_commit, None),
    "an exception": (_raise, Refused),
    "an error of a statement": (_fail_in_sql, DBAPIError),
    "an error of the commit": (_fail_at_commit, DBAPIError),
    "the statement's time limit": (_take_too_long, Unavailable),
    "a savepoint": (_roll_back_and_go_on, None),
}


@pytest.mark.parametrize("end", _ENDS)
async def test_no_tenant_is_left_on_a_connection(open_tenant_pair: TenantPairFactory, end: str) -> None:
    """IS2: whatever ends the transaction, its connection goes back with no role or path, and serves the next."""
    work, error = _ENDS[end]
    async with open_tenant_pair(statement_timeout=0.2) as tenant_pair:
        before = await tenant_pair.session_connection()
        if error is None:
            await _work(tenant_pair, work)
        else:
            with pytest.raises(error):
                await _work(tenant_pair, work)
        after = await tenant_pair.session_connection()
        assert after.is_clean
        assert after.backend == before.backend  # the connection itself, not a new one
        assert await _bodies(tenant_pair) == ["globex"] * ROWS


async def _work(tenant_pair: TenantPair, work: Callable[[TenantSession], Awaitable[None]]) -> None:
    async with tenant_pair.database.tenant(tenant_pair.acme) as session:
        await work(session)


async def _bodies(tenant_pair: TenantPair) -> list[str]:
    async with tenant_pair.database.tenant(tenant_pair.globex) as session:
        return list((await session.scalars(_BODIES)).all())


async def test_a_cancelled_request_leaves_nothing_to_the_next(open_tenant_pair: TenantPairFactory) -> None:
    """IS2, IS3: cancelled in the middle of a statement that would have answered with another tenant's rows."""
    async with open_tenant_pair() as tenant_pair:
        task = asyncio.create_task(_work(tenant_pair, _take_too_long))
        await _until_asleep(tenant_pair)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await tenant_pair.session_connection()).is_clean
        assert await _bodies(tenant_pair) == ["globex"] * ROWS


async def _until_asleep(tenant_pair: TenantPair) -> None:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    async with await psycopg.AsyncConnection.connect(tenant_pair.urls.superuser, autocommit=True) as superuser:
        while await (await superuser.execute(query)).fetchone() == (0,):  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)


async def test_the_same_statement_under_two_tenants_on_one_connection_is_planned_for_each(
    tenant_pair: TenantPair,
) -> None:
    """IS4: 50 times in turn, well past the point where a driver would have prepared it."""
    for _ in range(50):
        assert await _bodies(tenant_pair) == ["globex"] * ROWS
        async with tenant_pair.database.tenant(tenant_pair.acme) as session:
            assert set(await session.scalars(_BODIES)) == {"acme"}


async def test_a_tenants_tables_may_differ_from_anothers(open_tenant_pair: TenantPairFactory) -> None:
    """IS4: in the middle of a fleet's migration a column has one type here and another one there."""
    async with open_tenant_pair() as tenant_pair:
        with psycopg.connect(tenant_pair.urls.owner, autocommit=True) as owner:
            for number in range(12):
                tenant = (tenant_pair.acme, tenant_pair.globex)[number % 2]
                change = sql.SQL("ALTER TABLE {} ALTER COLUMN body TYPE varchar({})")
                owner.execute(change.format(sql.Identifier(tenant.schema, "notes"), sql.Literal(100 + number)))
                assert await _bodies(tenant_pair) == ["globex"] * ROWS
                await _work(tenant_pair, _commit)


async def test_a_control_transaction_and_a_tenants_leave_each_other_nothing(tenant_pair: TenantPair) -> None:
    """IS2: the two kinds of session share one connection and no right."""
    for _ in range(5):
        async with tenant_pair.database.control() as control:
            assert (await control.execute(_CURRENT_USER)).scalar_one() == "tenantry_control"
        async with tenant_pair.database.tenant(tenant_pair.acme) as session:
            assert (await session.execute(_CURRENT_USER)).scalar_one() == tenant_pair.acme.role


def test_schema_and_role_are_named_by_the_tenants_id_alone() -> None:
    """IS5: whatever the id is; a slug or a name has no part in it."""
    for _ in range(1000):
        tenant = TenantId(new_id())
        assert tenant_schema(tenant) == tenant_role(tenant) == "t_" + str(tenant).replace("-", "")


@pytest.mark.parametrize(
    "slug", ["a'b", 'a"b', "a;b", "a b", "A", "é", "a\nb", "acme\n", "", "-", "tenantry'; DROP SCHEMA x"]
)
async def test_a_slug_that_is_no_slug_is_refused_by_the_table_itself(tenant_pair: TenantPair, slug: str) -> None:
    """IS5: even where every check before it has been forgotten."""
    insert = "INSERT INTO tenantry.tenants (id, slug, name, plan_code) VALUES (gen_random_uuid(), %s, 'x', 'free')"
    with psycopg.connect(tenant_pair.urls.owner) as owner, pytest.raises(psycopg.errors.CheckViolation):
        owner.execute(insert, (slug,))


async def test_the_server_names_a_schema_as_we_do(tenant_pair: TenantPair) -> None:
    """IS5: the function that makes tenants has the name from the id too."""
    with psycopg.connect(tenant_pair.urls.owner) as owner:
        row = owner.execute("SELECT tenantry.tenant_schema(%s)", (tenant_pair.acme.id,)).fetchone()
    assert row == (tenant_pair.acme.schema,)
