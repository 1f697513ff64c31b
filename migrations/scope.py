"""The database objects that belong to the control stream."""

from collections.abc import MutableMapping
from typing import Literal

from tenants.database.names import CONTROL_SCHEMA

_JOBS = "procrastinate_"  # created and changed by the library's own SQL

Kind = Literal["schema", "table", "column", "index", "unique_constraint", "foreign_key_constraint", "check_constraint"]
Parents = MutableMapping[Literal["schema_name", "table_name", "schema_qualified_table_name"], str | None]


def belongs_to_control(name: str | None, kind: Kind, parents: Parents) -> bool:
    """Alembic's ``include_name``: schema ``tenantry`` alone, without the tables of the job library."""
    if kind == "schema":
        return name == CONTROL_SCHEMA
    if kind == "table":
        return not (name or "").startswith(_JOBS)
    return parents.get("schema_name") == CONTROL_SCHEMA
