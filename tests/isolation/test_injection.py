"""IS1: SQL injected into one tenant's statement, with the workers' own credentials, reaches nothing of anybody else.

What these tests do not claim: whoever writes a whole statement may write ``SET ROLE``, since the login role is a member
of every tenant's. So no statement is ever made of input; these tests hold the line behind that one.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.isolation.attacks import HARMLESS, REFUSED, STACKED, STATEMENTS
from tests.isolation.twins import Twins

pytestmark = pytest.mark.anyio

# Where an injected value may stand: in a statement with parameters, and in one without.
_PLACES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("SELECT ({attack})::text", {}),
    ("SELECT id FROM notes WHERE email = :email OR ({attack})::text <> ''", {"email": "nobody"}),
    ("SELECT id FROM notes ORDER BY ({attack})::text", {}),
    ("UPDATE notes SET body = ({attack})::text WHERE id = :id RETURNING body", {"id": 1}),
)
# insufficient privilege, no such function or table (dblink), a file or setting that only a superuser may touch,
# objects that are not there to be found, a parameter that must not be set.
_REFUSALS = frozenset({"42501", "42883", "42P01", "0A000", "42704", "55000", "42602", "34000"})


def _aim(attack: str, twins: Twins) -> str:
    victim = twins.globex
    return (
        attack.replace("{victim_id}", str(victim.id))
        .replace("{victim}", victim.schema)
        .replace("{attacker}", twins.acme.schema)
        .replace(":", r"\:")
    )


def _state(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None))


@pytest.fixture(scope="module", autouse=True)
def _unharmed(twins: Twins) -> Iterator[None]:
    """Whatever was tried in this module, the victim's rows and the control schema are as before."""
    before = twins.everything()
    yield
    assert twins.everything() == before


@pytest.mark.parametrize("name", REFUSED)
async def test_an_injected_expression_is_refused(twins: Twins, name: str) -> None:
    """IS1: wherever it stands; and the connection is nobody's afterwards."""
    for statement, values in _PLACES:
        with pytest.raises(DBAPIError) as refusal:
            await _run(twins, statement.replace("{attack}", _aim(REFUSED[name], twins)), values)
        assert _state(refusal.value) in _REFUSALS, refusal.value
    assert (await twins.pooled()).is_clean


async def _run(twins: Twins, statement: str, values: dict[str, Any]) -> str:
    async with twins.database.tenant(twins.acme) as session:
        return str((await session.execute(text(statement), values)).all())


async def test_the_last_sequence_value_of_the_session_is_the_tenants_own(twins: Twins) -> None:
    """IS1: ``lastval()`` is the session's, and so the tenant's before; PostgreSQL asks for a right on the sequence."""
    async with twins.database.tenant(twins.globex) as session:
        await session.execute(text("SELECT nextval('replies_id_seq')"))
    with pytest.raises(DBAPIError, match="permission denied for sequence"):
        await _run(twins, "SELECT lastval()", {})


@pytest.mark.parametrize("name", HARMLESS)
async def test_an_expression_that_answers_tells_nothing_of_others(twins: Twins, name: str) -> None:
    """IS1: neither another tenant's name nor a control table."""
    answer = await _run(twins, f"SELECT ({_aim(HARMLESS[name], twins)})::text", {})
    for secret in ("globex", twins.globex.schema, "true", "tenantry", "alembic_version"):
        assert secret not in answer, answer
    assert (await twins.pooled()).is_clean


@pytest.mark.parametrize("name", STATEMENTS)
async def test_a_whole_statement_of_the_attackers_is_refused(twins: Twins, name: str) -> None:
    """IS1: the tenant's role has data rights on its own tables and nothing else."""
    with pytest.raises(DBAPIError) as refusal:
        await _run(twins, _aim(STATEMENTS[name], twins), {})
    assert _state(refusal.value) in _REFUSALS, refusal.value
    assert (await twins.pooled()).is_clean


@pytest.mark.parametrize("bound", [True, False], ids=["bound", "unbound"])
@pytest.mark.parametrize("second", STACKED)
async def test_a_second_statement_cannot_be_stacked(twins: Twins, second: str, *, bound: bool) -> None:
    """IS1: the extended protocol takes one statement, with parameters or without."""
    first, values = ("SELECT :n", {"n": 1}) if bound else ("SELECT 1", {})
    with pytest.raises(DBAPIError, match="multiple commands"):
        await _run(twins, f"{first}; {_aim(second, twins)}", values)
    assert (await twins.pooled()).is_clean


@pytest.mark.parametrize("name", ["take another role", "change the search_path", "speak to every worker"])
async def test_the_control_roles_rights_are_not_the_tenants(twins: Twins, name: str) -> None:
    """IS1: a control part after the tenant's part of a transaction does not widen the next tenant's (DESIGN 2)."""
    async with twins.database.control() as session:
        await session.execute(text("SELECT count(*) FROM tenants"))
    with pytest.raises(DBAPIError):
        await _run(twins, f"SELECT ({_aim(REFUSED[name], twins)})::text", {})


async def test_the_login_role_by_itself_reads_nothing(twins: Twins) -> None:
    """DESIGN decision 2: being a member of every role gives it no right; an unscoped statement fails."""
    async with twins.database.engine.connect() as connection:
        for table in (f"{twins.acme.schema}.notes", "tenantry.api_keys"):
            with pytest.raises(DBAPIError, match="permission denied"):
                await connection.execute(text(f"TABLE {table}"))
            await connection.rollback()
        with pytest.raises(DBAPIError, match="does not exist"):
            await connection.execute(text("TABLE notes"))
