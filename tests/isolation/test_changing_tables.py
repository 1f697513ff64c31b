"""IS4: a tenant's tables change while its requests run, as a fleet's migration does it; no request fails of it."""

import asyncio
from collections.abc import Iterator
from itertools import cycle

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Column, Integer, MetaData, Table, Text, bindparam, select, text

from tenants.database.reads import TenantReads, prepare_read
from tenants.principal import TenantRef
from tenants.settings import DatabaseSettings
from tests.isolation.conftest import TwinsFactory
from tests.isolation.twins import ROWS, Twins

pytestmark = pytest.mark.anyio

_NOTES = Table("notes", MetaData(), Column("id", Integer), Column("email", Text), Column("body", Text))
_SELECT = select(_NOTES.c.id, _NOTES.c.email, _NOTES.c.body).order_by(_NOTES.c.id)
_HOT = prepare_read(_SELECT.where(_NOTES.c.id >= bindparam("least")))
_WRITE = text("UPDATE notes SET body = body WHERE id = :id RETURNING id, email, body")
_CHANGES = 40


def _changes(schema: str) -> Iterator[sql.Composed]:
    """Changes that an expanding migration makes: wider types, new columns, new indexes, and one of each back."""
    table, index = sql.Identifier(schema, "notes"), sql.Identifier("ix_new")
    for width in cycle(range(100, 200)):
        yield sql.SQL("ALTER TABLE {} ALTER COLUMN body TYPE varchar({})").format(table, sql.Literal(width))
        yield sql.SQL("ALTER TABLE {} ADD COLUMN extra integer NOT NULL DEFAULT 1").format(table)
        yield sql.SQL("CREATE INDEX {} ON {} (body, id)").format(index, table)
        yield sql.SQL("DROP INDEX {}").format(sql.Identifier(schema, "ix_new"))
        yield sql.SQL("ALTER TABLE {} DROP COLUMN extra").format(table)


async def _migrate(twins: Twins, done: asyncio.Event) -> None:
    streams = cycle([_changes(twins.acme.schema), _changes(twins.globex.schema)])
    async with await psycopg.AsyncConnection.connect(twins.urls.owner, autocommit=True) as owner:
        for _ in range(_CHANGES):
            await owner.execute(next(next(streams)))
            await asyncio.sleep(0.01)
    done.set()


async def _work(twins: Twins, reads: TenantReads, tenants: Iterator[TenantRef], done: asyncio.Event) -> int:
    count = 0
    while not done.is_set():
        tenant = next(tenants)
        hot = await reads.rows(tenant, _HOT, {"least": 1})
        async with twins.database.tenant(tenant) as session:
            rows = (await session.execute(_SELECT)).all()
            written = (await session.execute(_WRITE, {"id": 1})).one()
        assert {row[2] for row in (*hot, *rows, written)} == {tenant.slug}
        assert len(hot) == len(rows) == ROWS
        count += 1
    return count


async def test_tables_that_change_under_load_fail_no_request(open_twins: TwinsFactory) -> None:
    """IS4: neither "cached plan must not change result type" nor a column that is gone, for both tenants in turn."""
    done = asyncio.Event()
    async with open_twins(pool_size=2) as twins:
        reads = TenantReads(DatabaseSettings(url=twins.urls.gateway, pool_size=2))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_migrate(twins, done))
                turns = [cycle((twins.acme, twins.globex)), cycle((twins.globex, twins.acme))]
                loads = [group.create_task(_work(twins, reads, tenants, done)) for tenants in turns]
        finally:
            await reads.close()
    assert all(load.result() > _CHANGES / 4 for load in loads)
