"""IS1: SQL injected into one tenant's statement, with the workers' own credentials, reaches no other tenant.

What these tests do not claim: a whole statement of an attacker may be ``SET ROLE``, since the login role is a member of
every tenant's role. So no statement is ever built from input; these tests are the second line of defence.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.isolation.attacks import HARMLESS, REFUSALS, REFUSED, STACKED, STATEMENTS, aim
from tests.isolation.tenant_pair import TenantPair

pytestmark = pytest.mark.anyio

# Where an injected value may stand: in a statement with parameters, and in one without.
_PLACES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("SELECT ({attack})::text", {}),
    ("SELECT id FROM notes WHERE email = :email OR ({attack})::text <> ''", {"email": "nobody"}),
    ("SELECT id FROM notes ORDER BY ({attack})::text", {}),
    ("UPDATE notes SET body = ({attack})::text WHERE id = :id RETURNING body", {"id": 1}),
)


def _aim(attack: str, pair: TenantPair) -> str:
    return aim(attack, pair).replace(":", r"\:")  # SQLAlchemy's text() reads a colon as a parameter


def _state(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None))


@pytest.fixture(scope="module", autouse=True)
def _unchanged(tenant_pair: TenantPair) -> Iterator[None]:
    """After all tests of the module, the victim's rows and the control schema are unchanged."""
    before = tenant_pair.everything()
    yield
    assert tenant_pair.everything() == before


@pytest.mark.parametrize("name", REFUSED)
async def test_an_injected_expression_is_refused(tenant_pair: TenantPair, name: str) -> None:
    """IS1: at every place in a statement; and the connection has no role afterwards."""
    for statement, values in _PLACES:
        with pytest.raises(DBAPIError) as refusal:
            await _run(tenant_pair, statement.replace("{attack}", _aim(REFUSED[name], tenant_pair)), values)
        assert _state(refusal.value) in REFUSALS, refusal.value
    assert (await tenant_pair.session_connection()).is_clean


async def _run(tenant_pair: TenantPair, statement: str, values: dict[str, Any]) -> str:
    async with tenant_pair.database.tenant(tenant_pair.acme) as session:
        return str((await session.execute(text(statement), values)).all())


async def test_the_last_sequence_value_of_the_session_is_the_tenants_own(tenant_pair: TenantPair) -> None:
    """IS1: ``lastval()`` is the session's, and so the tenant's before; PostgreSQL asks for a right on the sequence."""
    async with tenant_pair.database.tenant(tenant_pair.globex) as session:
        await session.execute(text("SELECT nextval('replies_id_seq')"))
    with pytest.raises(DBAPIError, match="permission denied for sequence"):
        await _run(tenant_pair, "SELECT lastval()", {})


@pytest.mark.parametrize("name", HARMLESS)
async def test_an_expression_that_returns_reveals_nothing_of_other_tenants(tenant_pair: TenantPair, name: str) -> None:
    """IS1: neither another tenant's name nor a control table."""
    answer = await _run(tenant_pair, f"SELECT ({_aim(HARMLESS[name], tenant_pair)})::text", {})
    answer = answer.replace(f"{tenant_pair.acme.schema}tenantry_events", "")  # a table of its own
    for secret in ("globex", tenant_pair.globex.schema, "true", "tenantry", "alembic_version"):
        assert secret not in answer, answer
    assert (await tenant_pair.session_connection()).is_clean


@pytest.mark.parametrize("name", STATEMENTS)
async def test_a_whole_statement_of_the_attackers_is_refused(tenant_pair: TenantPair, name: str) -> None:
    """IS1: the tenant's role has data rights on its own tables and nothing else."""
    with pytest.raises(DBAPIError) as refusal:
        await _run(tenant_pair, _aim(STATEMENTS[name], tenant_pair), {})
    assert _state(refusal.value) in REFUSALS, refusal.value
    assert (await tenant_pair.session_connection()).is_clean


@pytest.mark.parametrize("bound", [True, False], ids=["bound", "unbound"])
@pytest.mark.parametrize("second", STACKED)
async def test_a_second_statement_cannot_be_stacked(tenant_pair: TenantPair, second: str, *, bound: bool) -> None:
    """IS1: the extended protocol takes one statement, with parameters or without."""
    first, values = ("SELECT :n", {"n": 1}) if bound else ("SELECT 1", {})
    with pytest.raises(DBAPIError, match="multiple commands"):
        await _run(tenant_pair, f"{first}; {_aim(second, tenant_pair)}", values)
    assert (await tenant_pair.session_connection()).is_clean


@pytest.mark.parametrize("name", ["take another role", "change the search_path", "speak to every worker"])
async def test_the_control_roles_rights_are_not_the_tenants(tenant_pair: TenantPair, name: str) -> None:
    """IS1: a control part after the tenant's part of a transaction does not widen the next tenant's rights."""
    async with tenant_pair.database.control() as session:
        await session.execute(text("SELECT count(*) FROM tenants"))
    with pytest.raises(DBAPIError):
        await _run(tenant_pair, f"SELECT ({_aim(REFUSED[name], tenant_pair)})::text", {})


async def test_the_login_role_by_itself_reads_nothing(tenant_pair: TenantPair) -> None:
    """IS1: membership in every role gives it no right; an unscoped statement fails."""
    async with tenant_pair.database.engine.connect() as connection:
        for table in (f"{tenant_pair.acme.schema}.notes", "tenantry.api_keys"):
            with pytest.raises(DBAPIError, match="permission denied"):
                await connection.execute(text(f"TABLE {table}"))
            await connection.rollback()
        with pytest.raises(DBAPIError, match="does not exist"):
            await connection.execute(text("TABLE notes"))
