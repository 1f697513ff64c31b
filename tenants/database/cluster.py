"""Set-up of a PostgreSQL server, once, as its superuser: three roles, one database, and what is revoked from PUBLIC.

Safe to run again: it sets passwords, ownership and grants to what they should be. Afterwards the owner migrates, the
gateway serves, and the superuser is not needed again.
"""

from dataclasses import dataclass

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from tenants.database.hardening import close_catalog
from tenants.database.names import CONTROL_ROLE, GATEWAY_ROLE, OWNER_ROLE

# In one injected expression these would undo SET LOCAL ROLE, notify every worker, or create objects that outlive the
# transaction and belong to no tenant (docs/decisions/0005-restrict-the-catalog-for-tenant-roles.md).
_SET_ROLE_FUNCTIONS = ("pg_catalog.set_config(text, text, boolean)",)
_SHARED_FUNCTIONS = (
    "pg_catalog.pg_notify(text, text)",
    "pg_catalog.lo_create(oid)",
    "pg_catalog.lo_creat(integer)",
    "pg_catalog.lo_from_bytea(oid, bytea)",
)


@dataclass(frozen=True, slots=True)
class ClusterUrls:
    """The URLs of the roles that may log in."""

    gateway: str
    owner: str


def set_up_cluster(superuser_url: str, database: str, *, owner_password: str, gateway_password: str) -> ClusterUrls:
    """Create roles and database, grant and revoke. Raises psycopg.Error when the server forbids one of them."""
    admin = make_url(superuser_url).set(drivername="postgresql")
    with psycopg.connect(_text(admin), autocommit=True) as connection:
        _make_roles(connection, owner_password, gateway_password)
        _make_database(connection, database)
    with psycopg.connect(_text(admin.set(database=database)), autocommit=True) as connection:
        _restrict_database(connection, database)
        close_catalog(connection)
    base = admin.set(database=database)
    return ClusterUrls(
        gateway=_text(base.set(username=GATEWAY_ROLE, password=gateway_password)),
        owner=_text(base.set(username=OWNER_ROLE, password=owner_password)),
    )


def _make_roles(connection: psycopg.Connection, owner_password: str, gateway_password: str) -> None:
    _ensure_role(connection, OWNER_ROLE, sql.SQL("LOGIN CREATEROLE NOINHERIT PASSWORD {}").format(owner_password))
    _ensure_role(connection, CONTROL_ROLE, sql.SQL("NOLOGIN"))
    # NOINHERIT: the login is a member of every tenant's role, and has no rights by that alone.
    _ensure_role(connection, GATEWAY_ROLE, sql.SQL("LOGIN NOINHERIT PASSWORD {}").format(gateway_password))
    _grant_role(connection, CONTROL_ROLE, GATEWAY_ROLE)
    _grant_role(connection, "pg_monitor", OWNER_ROLE)  # a migration names the sessions whose locks it waits for
    connection.execute(sql.SQL("ALTER ROLE {} SET search_path = ''").format(sql.Identifier(GATEWAY_ROLE)))


def _ensure_role(connection: psycopg.Connection, role: str, attributes: sql.Composable) -> None:
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
    verb = sql.SQL("ALTER" if known else "CREATE")
    try:
        connection.execute(sql.SQL("{} ROLE {} {}").format(verb, sql.Identifier(role), attributes))
    except psycopg.errors.UniqueViolation:  # a concurrent set-up of the same server has created it
        connection.execute(sql.SQL("ALTER ROLE {} {}").format(sql.Identifier(role), attributes))


def _grant_role(connection: psycopg.Connection, role: str, member: str) -> None:
    connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(member)))


def _make_database(connection: psycopg.Connection, database: str) -> None:
    name, owner = sql.Identifier(database), sql.Identifier(OWNER_ROLE)
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone():
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, owner))
    else:
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, owner))


def _restrict_database(connection: psycopg.Connection, database: str) -> None:
    name, gateway, owner = (sql.Identifier(each) for each in (database, GATEWAY_ROLE, OWNER_ROLE))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, gateway))
    connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    connection.execute("REVOKE UPDATE ON pg_catalog.pg_settings FROM PUBLIC")
    for function in _SET_ROLE_FUNCTIONS:
        signature = sql.SQL(function)
        connection.execute(sql.SQL("REVOKE EXECUTE ON FUNCTION {} FROM PUBLIC").format(signature))
        connection.execute(sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}, {}").format(signature, gateway, owner))
    for function in _SHARED_FUNCTIONS:
        signature, control = sql.SQL(function), sql.Identifier(CONTROL_ROLE)
        connection.execute(sql.SQL("REVOKE EXECUTE ON FUNCTION {} FROM PUBLIC").format(signature))
        connection.execute(sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}, {}").format(signature, control, owner))


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
