"""IS1 to IS3 for groups: whatever goes wrong at whichever statement, nothing is written and no role stays.

A group enters the tenant, runs the tenant's statements, then those of the control role. Position 0 to 2 are the
tenant's, 3 and 4 the control role's; each test breaks every position in turn.
"""

import asyncio

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import (
    Column,
    ColumnElement,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError

from tenants.database.groups import Pending, StatementGroup
from tenants.database.pipeline import PipelineConnection, Statement
from tenants.database.statements import Bound, Prepared, prepare
from tenants.errors import Unavailable
from tests.fixtures.backends import on_sleeping_backends
from tests.isolation.attacks import REFUSALS, REFUSED, STACKED, aim
from tests.isolation.conftest import TenantPairFactory
from tests.isolation.tenant_pair import ROWS, TenantPair

pytestmark = pytest.mark.anyio

_TENANT, _CONTROL = 3, 2  # statements of each part
_POSITIONS = range(_TENANT + _CONTROL)

_NOTES = Table("notes", MetaData(), Column("id", Integer), Column("email", Text), Column("body", Text))
_REPLIES = Table("replies", MetaData(), Column("note_id", Integer))
_ROLE: ColumnElement[str] = literal_column("current_user::text")
_PATH = func.current_setting("search_path")
_IDENTITY = prepare(select(_ROLE, _PATH))
_ADDED = insert(_NOTES).values(id=bindparam("note"), email=bindparam("address"), body=bindparam("word"))
_ADD = prepare(_ADDED)
_ADD_AND_RETURN = prepare(_ADDED.returning(_NOTES.c.id))
_READ = prepare(select(_NOTES.c.body).order_by(_NOTES.c.id))
_REPLY = prepare(insert(_REPLIES).values(note_id=bindparam("note")))
_DIVIDE = prepare(select(literal_column("1") / bindparam("by", type_=Integer)))
_SLEEP = prepare(select(func.pg_sleep(bindparam("seconds", type_=Integer))))
_DELETE_NEW = prepare(delete(_NOTES).where(_NOTES.c.id >= 100).returning(_NOTES.c.id))
_COUNT_TENANTS = prepare(select(func.count()).select_from(text("tenants")))  # unqualified: found by the search_path
_NEW = {"note": 100, "address": "new@example.com", "word": "acme"}


def _unsafe(statement: str, *parameters: str) -> Prepared:
    """A statement that was made of input, which the product never does."""
    return Prepared(Statement(statement.encode()[:60], statement.encode()), parameters, {})


def _group(pair: TenantPair, broken: int, statement: Prepared, given: dict[str, object]) -> StatementGroup:
    """A group that writes before and after ``broken``, the position that runs ``statement``."""
    group = pair.database.group(pair.acme)
    for position in _POSITIONS:
        control = position >= _TENANT
        add = group.add_control if control else group.add
        if position == broken:
            add(statement, given)
        elif control:
            add(_COUNT_TENANTS, {})
        else:
            add(_ADD, _NEW | {"note": 100 + position, "address": f"new-{position}@example.com"})
    return group


async def _assert_nothing_happened(pair: TenantPair) -> None:
    """No row of the group is there, every connection is clean, and the next tenant sees its own rows alone."""
    with psycopg.connect(pair.urls.superuser) as superuser:
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(pair.acme.schema, "notes"))
        assert superuser.execute(query).fetchone() == (ROWS,)
    assert all(each.is_clean for each in await pair.pipeline_connections())
    assert await pair.database.statements(pair.globex).rows(_READ, {}) == [("globex",)] * ROWS
    (identity,) = await pair.database.statements(pair.globex).rows(_IDENTITY, {})
    assert identity == (pair.globex.role, f"{pair.globex.schema}, pg_temp")


async def test_each_part_runs_as_its_own_role(open_tenant_pair: TenantPairFactory) -> None:
    """IS2: the tenant's role first, then the control role; after the commit neither."""
    notices: list[str | None] = []
    async with open_tenant_pair() as pair:
        for tenant in (pair.acme, pair.globex, pair.acme):
            group = pair.database.group(tenant)
            own = [group.add(_IDENTITY, {}), group.add(_READ, {})]
            control = [group.add_control(_IDENTITY, {}), group.add_control(_COUNT_TENANTS, {})]
            await group.commit()
            assert own[0].rows == [(tenant.role, f"{tenant.schema}, pg_temp")]
            assert own[1].rows == [(tenant.slug,)] * ROWS
            assert [each.rows for each in control] == [[("tenantry_control", "tenantry, pg_temp")], [(2,)]]
            (connection,) = pair.database._groups._idle
            connection._connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
            (identity,) = await pair.pipeline_connections()
            assert identity.is_clean
    assert notices == []


async def test_no_statement_of_the_tenant_follows_the_control_part(open_tenant_pair: TenantPairFactory) -> None:
    """IS1: the wrong order is an error before anything is sent, and so is a second commit."""
    async with open_tenant_pair() as pair:
        group = pair.database.group(pair.acme)
        group.add_control(_COUNT_TENANTS, {})
        with pytest.raises(ValueError, match="before"):
            group.add(_READ, {})
        await group.commit()
        with pytest.raises(ValueError, match="sent already"):
            group.add_control(_COUNT_TENANTS, {})
        with pytest.raises(ValueError, match="sent already"):
            await group.commit()
    with pytest.raises(RuntimeError, match="commit"):
        _ = Pending().rows


@pytest.mark.parametrize("position", _POSITIONS)
async def test_an_error_at_any_statement_undoes_the_group(open_tenant_pair: TenantPairFactory, position: int) -> None:
    """IS2, IS3: the connection itself continues, with no role."""
    async with open_tenant_pair() as pair:
        await pair.database.statements(pair.acme).rows(_READ, {})
        before = await pair.pipeline_connections()
        for _ in range(2):  # with statements that are new to the connection, and with prepared ones
            with pytest.raises(psycopg.errors.DivisionByZero):
                await _group(pair, position, _DIVIDE, {"by": 0}).commit()
            await _assert_nothing_happened(pair)
        assert await pair.pipeline_connections() == before


async def test_a_commit_that_fails_undoes_both_parts(open_tenant_pair: TenantPairFactory) -> None:
    """IS2, IS3: a deferred constraint of the tenant fails when the control part has already answered."""
    async with open_tenant_pair() as pair:
        for position in range(_TENANT):
            with pytest.raises(psycopg.errors.ForeignKeyViolation):
                await _group(pair, position, _REPLY, {"note": -1}).commit()
            await _assert_nothing_happened(pair)


@pytest.mark.parametrize("position", _POSITIONS)
async def test_a_group_that_is_cancelled_at_any_statement_leaves_nothing(
    open_tenant_pair: TenantPairFactory, position: int
) -> None:
    """IS3: its connection is closed, so that its rows reach nobody; the server rolls it back when it notices."""
    async with open_tenant_pair() as pair:
        task = asyncio.create_task(_group(pair, position, _SLEEP, {"seconds": 60}).commit())
        await on_sleeping_backends(pair.urls, "SELECT pid")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await pair.pipeline_connections() == []
        await on_sleeping_backends(
            pair.urls, "SELECT pg_terminate_backend(pid)"
        )  # else it sleeps on until its statement_timeout
        await _assert_nothing_happened(pair)


@pytest.mark.parametrize("position", _POSITIONS)
async def test_a_backend_that_is_killed_at_any_statement_leaves_nothing(
    open_tenant_pair: TenantPairFactory, position: int
) -> None:
    """IS3, OP3: one Unavailable, and the next group runs on a new connection."""
    async with open_tenant_pair() as pair:
        task = asyncio.create_task(_group(pair, position, _SLEEP, {"seconds": 60}).commit())
        await on_sleeping_backends(pair.urls, "SELECT pg_terminate_backend(pid)")
        with pytest.raises(Unavailable):
            await task
        await _assert_nothing_happened(pair)


@pytest.mark.parametrize("position", range(_TENANT))
@pytest.mark.parametrize("name", REFUSED)
async def test_an_injected_expression_is_refused_at_any_statement(
    tenant_pair: TenantPair, position: int, name: str
) -> None:
    """IS1: also in a group that will become the control role later, and on a connection that was it before."""
    attack = aim(REFUSED[name], tenant_pair)
    injected = _unsafe(f"SELECT id FROM notes WHERE email = $1::text OR ({attack})::text <> ''", "address")  # noqa: S608 - the attack
    with pytest.raises(psycopg.Error) as refusal:
        await _group(tenant_pair, position, injected, {"address": "nobody"}).commit()
    assert refusal.value.sqlstate in REFUSALS
    assert all(each.is_clean for each in await tenant_pair.pipeline_connections())


@pytest.mark.parametrize("position", _POSITIONS)
@pytest.mark.parametrize("second", STACKED)
async def test_a_second_statement_cannot_be_stacked_at_any_statement(
    tenant_pair: TenantPair, position: int, second: str
) -> None:
    """IS1: every statement of a group goes by the extended protocol, the control part's as well."""
    stacked = _unsafe(f"SELECT 1; {aim(second, tenant_pair)}")
    with pytest.raises(psycopg.errors.SyntaxError, match="multiple commands"):
        await _group(tenant_pair, position, stacked, {}).commit()
    assert all(each.is_clean for each in await tenant_pair.pipeline_connections())


async def test_a_plan_that_is_stale_at_any_statement_is_made_again(open_tenant_pair: TenantPairFactory) -> None:
    """IS4: the whole group is rolled back and run again, once; nothing is written twice."""
    touch = prepare(update(_NOTES).where(_NOTES.c.id == 1).values(body=_NOTES.c.body).returning(_NOTES.c.body))
    async with open_tenant_pair() as pair:
        for width in (50, 60, 70):
            group = pair.database.group(pair.acme)
            answers = [group.add(statement, {}) for statement in (_READ, touch, _READ)]
            group.add_control(_COUNT_TENANTS, {})
            with psycopg.connect(pair.urls.owner, autocommit=True) as owner:
                table = sql.Identifier(pair.acme.schema, "notes")
                change = sql.SQL("ALTER TABLE {} ALTER body TYPE varchar({})").format(table, sql.Literal(width))
                owner.execute(change)
            await group.commit()
            assert [each.rows for each in answers] == [[("acme",)] * ROWS, [("acme",)], [("acme",)] * ROWS]


async def test_more_statements_than_a_connection_keeps_in_one_group(open_tenant_pair: TenantPairFactory) -> None:
    """The least recently used plans are closed, never one that the same group needs."""
    shapes = [prepare(select(literal_column(f"{number} + id")).where(_NOTES.c.id == 1)) for number in range(150)]
    async with open_tenant_pair() as pair:
        for first in (0, 100, 0):
            group = pair.database.group(pair.acme)
            answers = [group.add(shapes[number % 150], {}) for number in range(first, first + 100)]
            await group.commit()
            assert [each.rows for each in answers] == [[(number % 150 + 1,)] for number in range(first, first + 100)]
        (connection,) = pair.database._groups._idle
        assert len(connection._prepared) <= 200
        assert len(connection._prepared) + 1 == await _prepared_by_the_server(connection)  # and the entry


async def _prepared_by_the_server(connection: PipelineConnection) -> int:
    connection._pg.send_query_params(b"SELECT count(*) FROM pg_prepared_statement()", None)
    (answer,) = await connection._round_trip(asyncio.get_running_loop().time() + 5)
    return int(answer.get_value(0, 0) or b"")


async def test_a_session_ends_with_its_control_part(open_tenant_pair: TenantPairFactory) -> None:
    """IS2: the interactive form has the same order and the same end; what is asked for twice runs once."""
    async with open_tenant_pair() as pair:
        await _write_twice_in_a_session(pair, Bound(_COUNT_TENANTS, {}))
        assert (await pair.session_connection()).is_clean
        assert await pair.database.statements(pair.acme).rows(_DELETE_NEW, {}) == [(100,), (101,)]


async def test_a_session_whose_control_part_fails_writes_nothing(open_tenant_pair: TenantPairFactory) -> None:
    """IS2, IS3: the tenant's part is undone with it, and no role stays."""
    async with open_tenant_pair() as pair:
        with pytest.raises(DBAPIError, match="division by zero"):
            await _write_twice_in_a_session(pair, Bound(_DIVIDE, {"by": 0}))
        assert (await pair.session_connection()).is_clean
        await _assert_nothing_happened(pair)


async def _write_twice_in_a_session(pair: TenantPair, control: Bound) -> None:
    async with pair.database.tenant(pair.acme) as session:
        for number in range(2):
            values = _NEW | {"note": 100 + number, "address": f"{number}@example.net"}
            await session.write(_ADD_AND_RETURN, values, [control])
        assert await session.rows(_IDENTITY, {}) == [(pair.acme.role, f"{pair.acme.schema}, pg_temp")]
        assert session.control == [control]
