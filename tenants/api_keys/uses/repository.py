"""SQL of the control table ``api_key_uses``: additions by workers, in batches.

A key that was deleted meanwhile is left out. Rows are locked in the order of ids, so that concurrent batches, and the
trigger that deletes rows, cannot deadlock.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, DateTime, Text, Uuid, bindparam, case, cast, exists, func, null, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.selectable import TableValuedAlias
from sqlalchemy.types import TypeEngine

from tenants.api_keys.models import ApiKey, ApiKeyUse
from tenants.database.base import ControlModel
from tenants.database.names import CONTROL_SCHEMA
from tenants.database.sessions import ControlSession

_TABLE = ControlModel.metadata.tables[f"{CONTROL_SCHEMA}.{ApiKeyUse.__tablename__}"]
_KEY, _REQUESTS, _AT, _FROM = "key_id", "requests", "last_used_at", "last_used_from"
_USES: dict[str, TypeEngine[Any]] = {_KEY: Uuid(), _REQUESTS: BigInteger(), _AT: DateTime(timezone=True), _FROM: Text()}
_ADDRESS = re.compile(r"[0-9a-f.:]+", re.ASCII)  # else the peer has none
_COUNTED: dict[str, TypeEngine[Any]] = {
    "principal_id": Uuid(),
    "kind": Text(),
    "requests": BigInteger(),
    "minute": DateTime(timezone=True),
}


class KeyUse(NamedTuple):
    """Uses of one key that are not stored yet."""

    key: UUID
    requests: int  # beside those that the usage of the plan counts
    at: float  # seconds since the epoch: of the last one
    address: str


async def add(session: ControlSession, uses: Sequence[KeyUse]) -> None:
    """Add uses, at most one for each key."""
    columns = {
        _KEY: _array(use.key.hex for use in uses),
        _REQUESTS: _array(str(use.requests) for use in uses),
        _AT: _array(datetime.fromtimestamp(use.at, UTC).isoformat() for use in uses),
        _FROM: _array(use.address if _ADDRESS.fullmatch(use.address) else "NULL" for use in uses),
    }
    await session.execute(_ADDITION, columns)


async def add_counted(session: ControlSession, columns: Mapping[str, str]) -> None:
    """Add requests of a batch of usage, given as array literals by the names of the columns of ``usage_minutes``.

    It has the minute of the last use alone, which matters when the rest was lost with a worker.
    """
    await session.execute(_ADDITION_OF_COUNTED, {name: columns[name] for name in _COUNTED})


def _array(elements: Iterable[str]) -> str:
    # As in billing/usage/batch.py: psycopg takes seven times as long to adapt objects.
    return f"{{{','.join(elements)}}}"


def _rows(columns: Mapping[str, TypeEngine[Any]]) -> TableValuedAlias:
    arrays = (cast(bindparam(name, type_=Text()), ARRAY(kind)) for name, kind in columns.items())
    return func.unnest(*arrays).table_valued(*columns, name="added").render_derived()


def _addition() -> Any:
    rows = _rows(_USES)
    known = exists(select(ApiKey.id).where(ApiKey.id == rows.c.key_id))
    return _upsert(select(*rows.c).where(known).order_by(rows.c.key_id))


def _addition_of_counted() -> Any:
    rows = _rows(_COUNTED)
    known = exists(select(ApiKey.id).where(ApiKey.id == rows.c.principal_id))
    requests, at = cast(func.sum(rows.c.requests), BigInteger), func.max(rows.c.minute)
    found = select(rows.c.principal_id, requests, at, cast(null(), Text))
    found = found.where(rows.c.kind == "api_key", known).group_by(rows.c.principal_id)
    return _upsert(found.order_by(rows.c.principal_id))


def _upsert(found: Any) -> Any:
    new = insert(_TABLE).from_select([_KEY, _REQUESTS, _AT, _FROM], found)
    is_later = (new.excluded.last_used_at >= ApiKeyUse.last_used_at) & new.excluded.last_used_from.is_not(None)
    changed = {
        _REQUESTS: ApiKeyUse.requests + new.excluded.requests,
        _AT: func.greatest(ApiKeyUse.last_used_at, new.excluded.last_used_at),
        # The address of the later use: two workers need not store the uses of one key in their order.
        _FROM: case((is_later, new.excluded.last_used_from), else_=ApiKeyUse.last_used_from),
    }
    return new.on_conflict_do_update(index_elements=[_KEY], set_=changed)


_ADDITION, _ADDITION_OF_COUNTED = _addition(), _addition_of_counted()
