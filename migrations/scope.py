"""The database objects that belong to the control stream."""

from collections.abc import MutableMapping
from typing import Literal

from tenants.database.names import CONTROL_SCHEMA

_JOBS = "procrastinate_"  # created and changed by the library's own SQL
# Columns that this release does not use and the one before it does: the next release drops them (expand, contract).
_RETIRED = frozenset({("tenants", "migration_failed_at"), ("refresh_tokens", "family_ended_at")})

Kind = Literal["schema", "table", "column", "index", "unique_constraint", "foreign_key_constraint", "check_constraint"]
Parents = MutableMapping[Literal["schema_name", "table_name", "schema_qualified_table_name"], str | None]


def belongs_to_control(name: str | None, kind: Kind, parents: Parents) -> bool:
    """Alembic's ``include_name``: schema ``tenantry`` alone, without the tables of the job library."""
    if kind == "schema":
        return name == CONTROL_SCHEMA
    if kind == "table":
        return not (name or "").startswith(_JOBS)
    if kind == "column" and (parents.get("table_name"), name) in _RETIRED:
        return False
    return parents.get("schema_name") == CONTROL_SCHEMA
