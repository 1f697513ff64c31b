"""IS4: a tenant's tables change while its requests run, as a fleet's migration does it; no request fails."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from typing import LiteralString

import httpx
import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Column, Integer, MetaData, Table, Text, bindparam, select, text, update

from tenants.database.statements import prepare
from tenants.principal import TenantRef
from tests.fixtures.gateways import Gateway
from tests.isolation.conftest import TenantPairFactory
from tests.isolation.tenant_pair import ROWS, TenantPair

pytestmark = pytest.mark.anyio

_NOTES = Table("notes", MetaData(), Column("id", Integer), Column("email", Text), Column("body", Text))
_SELECT = select(_NOTES.c.id, _NOTES.c.email, _NOTES.c.body).order_by(_NOTES.c.id)
_READ_ALONE = prepare(_SELECT.where(_NOTES.c.id >= bindparam("least")))
_WRITE_ALONE = prepare(
    update(_NOTES)
    .where(_NOTES.c.id == bindparam("note"))
    .values(body=_NOTES.c.body)
    .returning(_NOTES.c.id, _NOTES.c.email, _NOTES.c.body)
)
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


async def _migrate(tenant_pair: TenantPair, done: asyncio.Event) -> None:
    streams = cycle([_changes(tenant_pair.acme.schema), _changes(tenant_pair.globex.schema)])
    async with await psycopg.AsyncConnection.connect(tenant_pair.urls.owner, autocommit=True) as owner:
        for _ in range(_CHANGES):
            await owner.execute(next(next(streams)))
            await asyncio.sleep(0.01)
    done.set()


async def _work(tenant_pair: TenantPair, tenants: Iterator[TenantRef], done: asyncio.Event) -> int:
    count = 0
    while not done.is_set():
        tenant = next(tenants)
        alone = await tenant_pair.database.statements(tenant).rows(_READ_ALONE, {"least": 1})
        written_alone = await tenant_pair.database.statements(tenant).rows(_WRITE_ALONE, {"note": 2})
        async with tenant_pair.database.tenant(tenant) as session:
            rows = (await session.execute(_SELECT)).all()
            written = (await session.execute(_WRITE, {"id": 1})).one()
        assert {row[2] for row in (*alone, *written_alone, *rows, written)} == {tenant.slug}
        assert len(alone) == len(rows) == ROWS
        assert len(written_alone) == 1
        count += 1
    return count


async def test_tables_that_change_under_load_fail_no_request(open_tenant_pair: TenantPairFactory) -> None:
    """IS4: neither "cached plan must not change result type" nor a column that is gone, for both tenants in turn."""
    done = asyncio.Event()
    async with open_tenant_pair(pool_size=2) as tenant_pair, asyncio.TaskGroup() as group:
        group.create_task(_migrate(tenant_pair, done))
        turns = [cycle((tenant_pair.acme, tenant_pair.globex)), cycle((tenant_pair.globex, tenant_pair.acme))]
        loads = [group.create_task(_work(tenant_pair, tenants, done)) for tenants in turns]
    assert all(load.result() > _CHANGES / 4 for load in loads)


# Away, and back: what a tenant lacks whose migration has not been here yet, or has gone farther than this release.
_BREAKS: dict[str, tuple[LiteralString, LiteralString]] = {
    "a column": (
        "ALTER TABLE contacts RENAME COLUMN company TO employer",
        "ALTER TABLE contacts RENAME COLUMN employer TO company",
    ),
    "the table": ("ALTER TABLE contacts RENAME TO people", "ALTER TABLE people RENAME TO contacts"),
    "a column's type": (
        "ALTER TABLE contacts ALTER COLUMN value_cents TYPE integer",
        "ALTER TABLE contacts ALTER COLUMN value_cents TYPE bigint",
    ),
}
_ROUNDS = 4


async def test_a_tenant_whose_tables_lag_behind_is_unavailable_alone(gateway: Gateway) -> None:
    """IS4: every verb answers 503 to that tenant, while its tables lag, and is right again with them; never a 500."""
    done = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(_break_and_mend(gateway, done))
        acme = [group.create_task(_use(gateway, gateway.acme.key(), done)) for _ in range(2)]
        globex = [group.create_task(_use(gateway, gateway.globex.key(), done)) for _ in range(2)]
    seen = sum((each.result() for each in acme), Counter[int]())
    assert set(seen) == {200, 201, 204, 503}
    assert set(sum((each.result() for each in globex), Counter[int]())) == {200, 201, 204}
    assert set(await _use_once(gateway, gateway.acme.key())) == {200, 201, 204}


async def _break_and_mend(gateway: Gateway, done: asyncio.Event) -> None:
    schema = sql.Identifier(gateway.acme.ref.schema)
    async with await psycopg.AsyncConnection.connect(gateway.urls.owner, autocommit=True) as owner:
        await owner.execute(sql.SQL("SET search_path = {}").format(schema))
        for broken, mended in [*_BREAKS.values()] * _ROUNDS:
            await owner.execute(broken)
            await asyncio.sleep(0.03)
            await owner.execute(mended)
            await asyncio.sleep(0.03)
    done.set()


async def _use(gateway: Gateway, key: dict[str, str], done: asyncio.Event) -> Counter[int]:
    seen = Counter[int]()
    while not done.is_set():
        seen.update(await _use_once(gateway, key))
    return seen


async def _use_once(gateway: Gateway, key: dict[str, str]) -> list[int]:
    """The statuses of the five verbs, of which the later ones need what the first has made."""
    made = await gateway.client.post("/v1/contacts", json={"name": "Ada", "company": "x"}, headers=key)
    answers = [made, await gateway.client.get("/v1/contacts?company=x", headers=key)]
    if made.status_code == httpx.codes.CREATED:
        path, match = made.headers["location"], key | {"If-Match": made.headers["etag"]}
        answers.append(await gateway.client.get(path, headers=key))
        answers.append(await gateway.client.patch(path, json={"value_cents": 1}, headers=match))
        answers.append(await gateway.client.delete(path, headers=key))
    assert all("retry-after" in each.headers for each in answers if each.status_code == httpx.codes.SERVICE_UNAVAILABLE)
    return [each.status_code for each in answers]
