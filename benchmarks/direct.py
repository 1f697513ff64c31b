"""The baseline of the data path: the same transactions with psycopg alone, in a bare ASGI application.

One tenant, one table, no key, policy, limit or usage count: begin, role and search_path, one statement, commit, JSON.
``DIRECT_SCHEMA`` names the tenant's schema and role. In psycopg's pipeline mode the four are one implicit
transaction in one round trip, as in the gateway; psycopg prepares both statements.
"""

import asyncio
import os
from typing import Any
from urllib.parse import parse_qs

import orjson
import psycopg
from starlette.types import ASGIApp, Receive, Scope, Send

from tenants.identifiers import new_id, read, show

_PREFIX = "contact"
_NAMES = ("id", "name", "email", "company", "stage", "value_cents", "notes", "created_at", "updated_at")
_COLUMNS = ", ".join((*_NAMES, "version"))
_ENTER = "SELECT set_config('search_path', %s, true), set_config('role', %s, true)"
_ONE = f"SELECT {_COLUMNS} FROM contacts WHERE id = %s"  # noqa: S608 - of constants
_PAGE = f"SELECT {_COLUMNS} FROM contacts ORDER BY created_at DESC, id DESC LIMIT %s"  # noqa: S608
_GIVEN = ("name", "email", "company", "stage")
_ADD = f"INSERT INTO contacts (id, version, {', '.join(_GIVEN)}) VALUES (%s, 1, %s, %s, %s, %s) RETURNING {_COLUMNS}"  # noqa: S608
_CONNECTIONS = 6  # as in a worker of the gateway

_Answer = tuple[int, bytes]
_Row = tuple[Any, ...]


class Direct:
    """A connection pool and its transactions."""

    def __init__(self) -> None:
        schema = os.environ["DIRECT_SCHEMA"]
        self._scope = (f"{schema}, pg_temp", schema)
        self._idle: asyncio.LifoQueue[psycopg.AsyncConnection[Any]] = asyncio.LifoQueue()
        self._opening = _CONNECTIONS

    async def run(self, query: Any, values: tuple[object, ...]) -> list[_Row]:
        """Run one transaction as the tenant, in the cheapest way that psycopg has."""
        connection = await self._take()
        try:
            async with connection.pipeline():  # in autocommit mode, the pipeline is the transaction
                await connection.execute(_ENTER, self._scope)
                cursor = await connection.execute(query, values, binary=True)
            return await cursor.fetchall()
        finally:
            self._idle.put_nowait(connection)

    async def _take(self) -> psycopg.AsyncConnection[Any]:
        if self._idle.empty() and self._opening:
            self._opening -= 1
            return await psycopg.AsyncConnection.connect(os.environ["TENANTRY_DATABASE_URL"], autocommit=True)
        return await self._idle.get()


def create_app() -> ASGIApp:
    """``GET /v1/contacts/{id}``, ``GET /v1/contacts?limit=``, ``POST /v1/contacts``."""
    direct = Direct()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] == "POST":
            status, body = await _create(direct, receive)
        elif scope["query_string"]:
            status, body = await _page(direct, scope)
        else:
            status, body = await _one(direct, scope)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


async def _one(direct: Direct, scope: Scope) -> _Answer:
    row_id = read(_PREFIX, scope["path"].rpartition("/")[2])
    rows = await direct.run(_ONE, (row_id,))
    return (200, _dump(_document(rows[0]))) if rows else (404, b"{}")


async def _page(direct: Direct, scope: Scope) -> _Answer:
    limit = int(parse_qs(scope["query_string"])[b"limit"][0])
    rows = await direct.run(_PAGE, (limit + 1,))
    data = [_document(row) for row in rows[:limit]]
    has_more = len(rows) > limit
    return 200, _dump({"data": data, "has_more": has_more, "next_cursor": data[-1]["id"] if has_more else None})


async def _create(direct: Direct, receive: Receive) -> _Answer:
    sent = orjson.loads((await receive())["body"])
    rows = await direct.run(_ADD, (new_id(), *(sent[name] for name in _GIVEN)))
    return 201, _dump(_document(rows[0]))


def _document(row: _Row) -> dict[str, Any]:
    document = dict(zip(_NAMES, row, strict=False))
    document["id"] = show(_PREFIX, document["id"])
    return document


def _dump(document: dict[str, Any]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_UTC_Z)
