"""The facts of a server and a login role that isolation depends on (docs/architecture.md)."""

from dataclasses import dataclass, fields

import psycopg
from sqlalchemy.engine import make_url

from tenants.database.names import CONTROL_ROLE, CONTROL_SCHEMA
from tenants.database.workers import CONFIRMED

_TIMEOUT = 5  # seconds

_FACTS = """
    SELECT
        current_setting('server_version') AS server_version,
        current_setting('server_version_num')::int AS server_version_number,
        current_user AS role,
        rolsuper AS superuser,
        rolbypassrls AS bypasses_row_security,
        rolcreaterole AS creates_roles,
        rolinherit AS inherits,
        current_setting('search_path') AS search_path,
        to_regrole(%(control)s) IS NOT NULL AS control_role_exists,
        CASE WHEN to_regrole(%(control)s) IS NULL THEN false
            ELSE pg_has_role(current_user, to_regrole(%(control)s), 'MEMBER') END AS may_become_control,
        to_regnamespace(%(schema)s) IS NOT NULL AS control_schema_exists,
        has_function_privilege(current_user, 'pg_catalog.set_config(text, text, boolean)', 'EXECUTE') AS may_set_config,
        has_function_privilege('public', 'pg_catalog.set_config(text, text, boolean)', 'EXECUTE')
            AS everybody_sets_config,
        has_table_privilege('public', 'pg_catalog.pg_settings', 'UPDATE') AS everybody_updates_settings,
        has_function_privilege('public', 'pg_catalog.pg_notify(text, text)', 'EXECUTE') AS everybody_notifies,
        has_table_privilege('public', 'pg_catalog.pg_class', 'SELECT') AS everybody_reads_the_catalog,
        has_database_privilege('public', current_database(), 'CONNECT') AS everybody_connects,
        has_schema_privilege('public', 'public', 'CREATE') AS everybody_creates_in_public
    FROM pg_catalog.pg_roles WHERE rolname = current_user
"""


@dataclass(frozen=True, slots=True)
class Inspection:
    """The server, the role that logged in, and what PUBLIC may do in this database."""

    server_version: str
    server_version_number: int
    role: str
    superuser: bool
    bypasses_row_security: bool
    creates_roles: bool
    inherits: bool
    search_path: str
    control_role_exists: bool
    may_become_control: bool
    control_schema_exists: bool
    may_set_config: bool
    everybody_sets_config: bool
    everybody_updates_settings: bool
    everybody_notifies: bool
    everybody_reads_the_catalog: bool
    everybody_connects: bool
    everybody_creates_in_public: bool


def inspect(url: str) -> Inspection:
    """Log in and read them. Raises psycopg.OperationalError when that is impossible."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, connect_timeout=_TIMEOUT, application_name="tenantry doctor") as connection:
        connection.read_only = True
        row = connection.execute(_FACTS, {"control": CONTROL_ROLE, "schema": CONTROL_SCHEMA}).fetchone()
    if row is None:
        raise psycopg.OperationalError("the server does not know the role that logged in")
    return Inspection(**dict(zip((each.name for each in fields(Inspection)), row, strict=True)))


def confirmed_ago(url: str) -> list[tuple[str, float]]:
    """Each worker that may trust its cache, as ``host/pid``, and seconds since its last heartbeat; the oldest first.

    Raises psycopg.Error, UndefinedTable before the migration of this release.
    """
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    options = f"-c role={CONTROL_ROLE}"
    with psycopg.connect(
        plain, connect_timeout=_TIMEOUT, application_name="tenantry doctor", options=options
    ) as connection:
        rows = connection.execute(CONFIRMED).fetchall()
    return [(f"{host}/{pid}", float(seconds)) for host, pid, seconds in rows]
