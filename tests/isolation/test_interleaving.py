"""IS3: two tenants with the same ids and addresses share a few connections, through everything that can go wrong.

A seeded run of some thousand short transactions; TENANTRY_TEST_ROUNDS makes it longer, TENANTRY_TEST_SEED another one.
"""

import asyncio
import os
import random
from collections import Counter

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import (
    Column,
    ColumnElement,
    Float,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)

from tenants.database.sessions import TenantSession
from tenants.database.statements import prepare
from tenants.errors import Unavailable
from tenants.principal import TenantRef
from tests.isolation.conftest import TenantPairFactory
from tests.isolation.tenant_pair import ROWS, TenantPair

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3600)]

_ROUNDS = int(os.environ.get("TENANTRY_TEST_ROUNDS", "1"))
_SEED = int(os.environ.get("TENANTRY_TEST_SEED", "20261122"))
_TASKS = 8
_STEPS = 150 * _ROUNDS  # of each task
_KILLS = 12 * _ROUNDS

_READ = text("SELECT id, email, body FROM notes ORDER BY id")
_FIND = text("SELECT body FROM notes WHERE email = :email")
_WRITE = text("UPDATE notes SET body = :body WHERE id = :id RETURNING body")
_WHO = text("SELECT current_user, current_setting('search_path')")

_NOTES = Table("notes", MetaData(), Column("id", Integer), Column("body", Text))
_REPLIES = Table("replies", MetaData(), Column("note_id", Integer))
_USER: ColumnElement[str] = literal_column("current_user::text")
_PATH = func.current_setting("search_path")
_SLEEP = func.pg_sleep(bindparam("seconds", type_=Float)).label("slept")
_CONTROL = prepare(select(_USER, _PATH))
_READ_ALONE = prepare(select(_NOTES.c.body, _USER, _PATH))
_WRITE_ALONE = prepare(
    update(_NOTES).where(_NOTES.c.id == bindparam("note")).values(body=bindparam("given")).returning(_NOTES.c.body)
)
_REPLY_ALONE = prepare(insert(_REPLIES).values(note_id=bindparam("note")).returning(_REPLIES.c.note_id))
_DIVIDE_ALONE = prepare(select(_NOTES.c.id / bindparam("by", type_=Integer)))
_LINGER_ALONE = prepare(select(_NOTES.c.body, _SLEEP).limit(1))


class Deliberate(Exception):
    """What a service raises in the middle of its work."""


class Load:
    """What the tasks do, and what they have seen."""

    def __init__(self, tenant_pair: TenantPair, choice: random.Random) -> None:
        self.tenant_pair = tenant_pair
        self.choice = choice
        self.rows = 0
        self.outcomes: Counter[str] = Counter()

    async def run(self) -> None:
        for _ in range(_STEPS):
            tenant = self.choice.choice((self.tenant_pair.acme, self.tenant_pair.globex))
            task = asyncio.create_task(self.work(tenant))
            if self.choice.random() < 0.25:  # the client goes away
                await asyncio.sleep(self.choice.uniform(0, 0.006))
                task.cancel()
            self.outcomes[await _outcome(task)] += 1

    async def work(self, tenant: TenantRef) -> None:
        """A transaction of a few statements, or a statement alone."""
        if self.choice.random() < 0.5:
            alone = (self.read_alone, self.write_alone, self.fail_alone, self.linger_alone, self.group)
            await self.choice.choices(alone, (4, 4, 2, 2, 6))[0](tenant)
            return
        steps = (self.read, self.find, self.write, self.fail, self.linger)
        async with self.tenant_pair.database.tenant(tenant) as session:
            await self.choice.choices(steps, (4, 3, 4, 2, 2))[0](session, tenant)

    async def read(self, session: TenantSession, tenant: TenantRef) -> None:
        rows = (await session.execute(_READ)).all()
        assert len(rows) == ROWS
        self.see(tenant, [row.body for row in rows])
        who = (await session.execute(_WHO)).one()
        assert tuple(who) == (tenant.role, f"{tenant.schema}, pg_temp")

    async def find(self, session: TenantSession, tenant: TenantRef) -> None:
        address = f"{self.choice.randint(1, ROWS)}@example.com"
        self.see(tenant, list((await session.scalars(_FIND, {"email": address})).all()))

    async def write(self, session: TenantSession, tenant: TenantRef) -> None:
        values = {"id": self.choice.randint(1, ROWS), "body": tenant.slug}
        self.see(tenant, list((await session.scalars(_WRITE, values)).all()))

    async def fail(self, session: TenantSession, tenant: TenantRef) -> None:
        await self.write(session, tenant)
        if self.choice.random() < 0.5:
            raise Deliberate
        await session.execute(text("INSERT INTO replies (note_id) VALUES (-1)"))  # fails at COMMIT

    async def linger(self, session: TenantSession, tenant: TenantRef) -> None:
        await self.find(session, tenant)
        await session.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": self.choice.uniform(0, 0.02)})
        await self.find(session, tenant)

    async def read_alone(self, tenant: TenantRef) -> None:
        rows = await self.tenant_pair.database.statements(tenant).rows(_READ_ALONE, {})
        assert len(rows) == ROWS
        self.see(tenant, [body for body, *_ in rows])
        assert {tuple(who) for _, *who in rows} == {(tenant.role, f"{tenant.schema}, pg_temp")}

    async def write_alone(self, tenant: TenantRef) -> None:
        values = {"note": self.choice.randint(1, ROWS), "given": tenant.slug}
        self.see(
            tenant, [body for (body,) in await self.tenant_pair.database.statements(tenant).rows(_WRITE_ALONE, values)]
        )

    async def fail_alone(self, tenant: TenantRef) -> None:
        """In the statement, or when it is committed and has answered already."""
        work = self.tenant_pair.database.statements(tenant)
        if self.choice.random() < 0.5:
            await work.rows(_REPLY_ALONE, {"note": -1})
        with pytest.raises(psycopg.errors.DivisionByZero):
            await work.rows(_DIVIDE_ALONE, {"by": 0})

    async def linger_alone(self, tenant: TenantRef) -> None:
        values = {"seconds": self.choice.uniform(0, 0.02)}
        rows = await self.tenant_pair.database.statements(tenant).rows(_LINGER_ALONE, values)
        self.see(tenant, [body for body, _ in rows])

    async def group(self, tenant: TenantRef) -> None:
        """Several statements and a control part; now and then one of them fails, or only the commit does."""
        group = self.tenant_pair.database.group(tenant)
        written = group.add(_WRITE_ALONE, {"note": self.choice.randint(1, ROWS), "given": tenant.slug})
        read = group.add(_READ_ALONE, {})
        if self.choice.random() < 0.2:
            group.add(_REPLY_ALONE, {"note": -1})
        lingered = group.add(_LINGER_ALONE, {"seconds": self.choice.uniform(0, 0.005)})
        control = group.add_control(_CONTROL, {})
        await group.commit()
        self.see(tenant, [row[0] for pending in (written, read, lingered) for row in pending.rows])
        assert {tuple(who) for _, *who in read.rows} == {(tenant.role, f"{tenant.schema}, pg_temp")}
        assert control.rows == [("tenantry_control", "tenantry, pg_temp")]

    def see(self, tenant: TenantRef, bodies: list[str]) -> None:
        self.rows += len(bodies)
        assert set(bodies) == {tenant.slug}, f"{tenant.slug} was shown {bodies}"


async def _outcome(task: "asyncio.Task[None]") -> str:
    """How a step ended, in one word; a wrong row is no outcome but the test's failure."""
    try:
        await task
    except AssertionError:
        raise
    except asyncio.CancelledError:
        return "cancelled"
    except Deliberate:
        return "raised"
    except Unavailable:
        return "unavailable"
    except Exception as error:
        if "fk_replies_note_id" in str(error):
            return "refused"
        raise
    return "done"


async def _kill_backends(tenant_pair: TenantPair, choice: random.Random) -> None:
    """End a random connection of the gateway's now and then, as an operator or the kernel would."""
    pids = "SELECT pid FROM pg_stat_activity WHERE usename = 'tenantry_gateway' AND datname = current_database()"
    async with await psycopg.AsyncConnection.connect(tenant_pair.urls.superuser, autocommit=True) as superuser:
        for _ in range(_KILLS):
            await asyncio.sleep(choice.uniform(0.02, 0.1))
            found = await (await superuser.execute(pids)).fetchall()
            if found:
                await superuser.execute("SELECT pg_terminate_backend(%s)", choice.choice(found))


@pytest.mark.parametrize("pool_size", [1, 4])
async def test_no_row_of_another_tenant_is_ever_seen_or_written(
    open_tenant_pair: TenantPairFactory, pool_size: int
) -> None:
    """IS3: reads, writes, failed commits, exceptions, cancelled requests and killed backends, all at once.

    Half of it in transactions of a few statements, half in statements alone.
    """
    choice = random.Random(_SEED + pool_size)  # noqa: S311 - a run that can be repeated
    async with open_tenant_pair(pool_size=pool_size) as tenant_pair:
        load = Load(tenant_pair, choice)
        async with asyncio.TaskGroup() as group:
            for _ in range(_TASKS):
                group.create_task(load.run())
            group.create_task(_kill_backends(tenant_pair, choice))
        assert (await tenant_pair.session_connection()).is_clean
        assert all(each.is_clean for each in await tenant_pair.pipeline_connections())
    assert load.rows > _TASKS * _STEPS
    assert set(load.outcomes) >= {"done", "cancelled", "raised", "refused"}
    assert load.outcomes["done"] > _TASKS * _STEPS / 4
    _check_tables(tenant_pair)


def _check_tables(tenant_pair: TenantPair) -> None:
    """What the tables hold at last, read by the superuser."""
    with psycopg.connect(tenant_pair.urls.superuser) as superuser:
        for tenant in (tenant_pair.acme, tenant_pair.globex):
            query = sql.SQL("SELECT DISTINCT body FROM {}").format(sql.Identifier(tenant.schema, "notes"))
            assert superuser.execute(query).fetchall() == [(tenant.slug,)]
            replies = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(tenant.schema, "replies"))
            assert superuser.execute(replies).fetchone() == (0,)
