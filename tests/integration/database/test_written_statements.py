"""Writes of one statement: committed when they return, at most once, in their own tenant alone."""

import asyncio
from dataclasses import replace
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text, bindparam, func, insert, update

from tenants.database.sessions import Database
from tenants.database.statements import prepare
from tenants.errors import Unavailable
from tenants.principal import TenantRef
from tenants.settings import DatabaseSettings
from tests.fixtures.backends import on_sleeping_backends
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.relay import Relay, relayed
from tests.fixtures.tenants import new_database
from tests.integration.database.notes import BODY, NOTES

pytestmark = pytest.mark.anyio

Tenants = tuple[TenantRef, TenantRef]

_REPLIES = Table("replies", MetaData(), Column("note_id", Integer))
_ADD = prepare(
    insert(NOTES)
    .values(id=bindparam("given_id"), body=bindparam("given_body", type_=Text))
    .returning(NOTES.c.id, func.length(NOTES.c.body))
)
_REPLY = prepare(insert(_REPLIES).values(note_id=bindparam("note")).returning(_REPLIES.c.note_id))
_COUNT = prepare(
    update(NOTES)
    .where(NOTES.c.id == 1, func.pg_sleep(bindparam("seconds", type_=Integer)).is_not(None))
    .values(cents=NOTES.c.cents + bindparam("cents", type_=BigInteger))
    .returning(NOTES.c.cents, NOTES.c.body)
)
_ONE_CENT = {"seconds": 0, "cents": 1}


def _stored(
    urls: DatabaseUrls, tenant: TenantRef, what: LiteralString = "cents", of: str = "notes"
) -> list[tuple[object, ...]]:
    """What is committed, seen from another connection."""
    query = sql.SQL("SELECT {} FROM {} ORDER BY 1").format(sql.SQL(what), sql.Identifier(tenant.schema, of))
    with psycopg.connect(urls.superuser, autocommit=True) as superuser:
        return superuser.execute(query).fetchall()


async def test_a_write_is_committed_when_it_returns(
    database: Database, tenants: Tenants, database_urls: DatabaseUrls
) -> None:
    """OP2: in the tenant's own schema and in no other; the server's answer comes after its commit."""
    for number in range(2, 12):
        assert await database.statements(tenants[0]).rows(_ADD, {"given_id": number, "given_body": "x"}) == [
            (number, 1)
        ]
        assert _stored(database_urls, tenants[0], "count(*)") == [(number,)]
    assert _stored(database_urls, tenants[1], "id") == [(1,)]


async def test_a_statement_is_one_round_trip(tenants: Tenants, database_urls: DatabaseUrls) -> None:
    """Begin, role and search_path, the statement, its preparation where it is new, and the commit."""
    async with relayed(database_urls.gateway) as relay:
        database = new_database(DatabaseSettings(url=relay.url, statement_connections=1))
        await database.statements(tenants[0]).rows(BODY, {"id": 1})  # connects
        before = relay.round_trips
        for number, tenant in enumerate((*tenants, *tenants), start=1):
            assert (await database.statements(tenant).rows(_COUNT, _ONE_CENT))[0][1] == tenant.slug
            assert relay.round_trips == before + number
        await database.close()


async def test_a_commit_that_fails_raises_and_leaves_nothing(
    database: Database, tenants: Tenants, database_urls: DatabaseUrls
) -> None:
    """IS2, IS3: a deferred constraint fails after the statement has answered with its row."""
    for tenant in (*tenants, *tenants):
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            await database.statements(tenant).rows(_REPLY, {"note": -1})
        assert await database.statements(tenant).rows(_REPLY, {"note": 1}) == [(1,)]
    (connection,) = database._groups._idle
    assert connection._pg.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert [_stored(database_urls, tenant, "note_id", "replies") for tenant in tenants] == [[(1,), (1,)]] * 2


@pytest.mark.parametrize(("lost", "cents"), [("drop_requests", 100), ("drop_responses", 101)])
async def test_a_write_of_unknown_outcome_is_unavailable_and_not_retried(
    tenants: Tenants, database_urls: DatabaseUrls, lost: str, cents: int
) -> None:
    """OP2: the connection breaks before the server has received it, or after it has committed; both look alike."""
    async with relayed(database_urls.gateway) as relay:
        database = new_database(DatabaseSettings(url=relay.url, statement_connections=1))
        await database.statements(tenants[0]).rows(BODY, {"id": 1})
        with pytest.raises(Unavailable):
            await _lose(relay, lost, database, tenants[0])
        assert await database.statements(tenants[0]).rows(BODY, {"id": 1}) == [("acme",)]  # on a new connection
        assert _stored(database_urls, tenants[0]) == [(cents,)]
        await database.close()


async def _lose(relay: Relay, lost: str, database: Database, tenant: TenantRef) -> None:
    setattr(relay, lost, True)
    try:
        await database.statements(tenant).rows(_COUNT, _ONE_CENT)
    finally:
        setattr(relay, lost, False)


async def test_a_killed_backend_takes_its_write_with_it(
    database: Database, tenants: Tenants, database_urls: DatabaseUrls
) -> None:
    """IS3, OP3: one Unavailable, nothing written, and the next write is made on another connection."""
    write = asyncio.create_task(database.statements(tenants[0]).rows(_COUNT, {"seconds": 60, "cents": 1}))
    await on_sleeping_backends(database_urls, "SELECT pg_terminate_backend(pid)")
    with pytest.raises(Unavailable):
        await write
    assert await database.statements(tenants[1]).rows(_COUNT, _ONE_CENT) == [(101, "globex")]
    assert _stored(database_urls, tenants[0]) == [(100,)]


async def test_a_cancelled_write_is_committed_once_or_not_at_all(
    database: Database, tenants: Tenants, database_urls: DatabaseUrls
) -> None:
    """IS3: its connection is closed, so that no other request reads its row."""
    write = asyncio.create_task(database.statements(tenants[0]).rows(_COUNT, {"seconds": 1, "cents": 1}))
    await on_sleeping_backends(database_urls, "SELECT pid")
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    assert await database.statements(tenants[1]).rows(_COUNT, _ONE_CENT) == [(101, "globex")]
    assert await database.statements(tenants[0]).rows(_COUNT, _ONE_CENT) in ([(101, "acme")], [(102, "acme")])


async def test_a_write_whose_plan_is_stale_is_committed_once(
    database: Database, tenants: Tenants, database_urls: DatabaseUrls
) -> None:
    """IS4: "cached plan must not change result type" rolls back the whole group, so that it may be run again."""
    assert await database.statements(tenants[0]).rows(_COUNT, _ONE_CENT) == [(101, "acme")]
    with psycopg.connect(database_urls.owner, autocommit=True) as owner:
        table = sql.Identifier(tenants[0].schema, "notes")
        owner.execute(sql.SQL("ALTER TABLE {} ALTER body TYPE varchar(50)").format(table))
    assert await database.statements(tenants[0]).rows(_COUNT, _ONE_CENT) == [(102, "acme")]
    assert await database.statements(tenants[1]).rows(_COUNT, _ONE_CENT) == [(101, "globex")]


async def test_more_than_a_socket_holds_is_written_whole(
    database: Database, tenants: Tenants, database_urls: DatabaseUrls
) -> None:
    """The event loop goes on while the server reads."""
    many = 16 * 2**20
    assert await database.statements(tenants[0]).rows(_ADD, {"given_id": 2, "given_body": "x" * many}) == [(2, many)]
    assert _stored(database_urls, tenants[0], "length(body)") == [(4,), (many,)]
    assert await database.statements(tenants[1]).rows(BODY, {"id": 1}) == [("globex",)]


async def test_a_value_that_cannot_be_sent_costs_no_connection(database: Database, tenants: Tenants) -> None:
    """DA1: refused before anything was sent, so that no part of a group is sent."""
    assert await database.statements(tenants[0]).rows(BODY, {"id": 1}) == [("acme",)]
    (connection,) = database._groups._idle
    with pytest.raises(psycopg.DataError):
        await database.statements(tenants[0]).rows(_ADD, {"given_id": 2, "given_body": "a\0b"})
    assert database._groups._idle == [connection]
    assert await database.statements(tenants[1]).rows(BODY, {"id": 1}) == [("globex",)]


async def test_a_tenant_whose_role_is_gone_gets_nothing(database: Database, tenants: Tenants) -> None:
    """IS2: a statement never runs as another role when the tenant's role cannot be set."""
    without_role = replace(tenants[0], role="t_nobody")
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        await database.statements(without_role).rows(_COUNT, _ONE_CENT)
    assert await database.statements(tenants[0]).rows(_COUNT, _ONE_CENT) == [(101, "acme")]
