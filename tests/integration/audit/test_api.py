"""``/v1/audit-events``: listed, filtered, read and exported, for owners and admins of the tenant alone."""

import asyncio
import csv
import io
import tracemalloc
from typing import Any

import orjson
import pytest
from starlette.types import Message

from tenants.audit.origin import SYSTEM
from tenants.crud import service
from tenants.resources.registry import load_registry
from tests.asgi import http_scope
from tests.fixtures.audit import chain, tamper
from tests.fixtures.gateways import Gateway, SeededTenant

pytestmark = pytest.mark.anyio

_PATH = "/v1/audit-events"
_CONTACTS = load_registry("examples.crm.resources")["contacts"]
_MANY = 50_000


async def _list(gateway: Gateway, query: str = "", tenant: SeededTenant | None = None) -> list[dict[str, Any]]:
    answer = await gateway.client.get(f"{_PATH}?limit=100{query}", headers=(tenant or gateway.acme).key("admin"))
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


async def _make(gateway: Gateway, name: str, **values: object) -> str:
    answer = await gateway.client.post("/v1/contacts", json={"name": name, **values}, headers=gateway.acme.key())
    assert answer.status_code == 201
    return str(answer.json()["id"])


async def test_the_newest_event_comes_first_chained_or_not(gateway: Gateway) -> None:
    """The same event before and after it is chained, but for its sequence, its hash and its ETag."""
    contact = await _make(gateway, "Ada", value_cents=2**53 - 1)
    key = {"name": "import", "role": "viewer"}
    made = (await gateway.client.post("/v1/api-keys", json=key, headers=gateway.acme.key("owner"))).json()
    newest, oldest = await _list(gateway)
    assert (newest["action"], newest["object"], newest["category"]) == ("api_keys.created", made["id"], "management")
    assert (oldest["action"], oldest["object"], oldest["category"]) == ("contacts.created", contact, "data")
    assert (oldest["before"], oldest["after"]["value_cents"]) == (None, 2**53 - 1)
    assert oldest["actor"]["kind"] == "api_key"
    assert {(each["sequence"], each["hash"]) for each in (newest, oldest)} == {(None, None)}
    before = await gateway.client.get(f"{_PATH}/{oldest['id']}", headers=gateway.acme.key("admin"))
    assert before.json() == oldest
    await chain(gateway)
    (later,) = [each for each in await _list(gateway) if each["id"] == oldest["id"]]
    assert (later["sequence"], len(later["hash"])) == (1, 64)
    assert later | {"sequence": None, "hash": None} == oldest
    tag = {"if-none-match": before.headers["etag"], **gateway.acme.key("admin")}
    after = await gateway.client.get(f"{_PATH}/{oldest['id']}", headers=tag)
    assert (after.status_code, after.json()) == (200, later)
    tag["if-none-match"] = after.headers["etag"]
    assert (await gateway.client.get(f"{_PATH}/{oldest['id']}", headers=tag)).status_code == 304


async def test_filters_narrow_the_list(gateway: Gateway) -> None:
    """By action, category, actor, object and time; several together."""
    first, second = await _make(gateway, "Ada"), await _make(gateway, "Bea")
    await gateway.client.delete(f"/v1/contacts/{first}", headers=gateway.acme.key("owner"))
    deleted, _, oldest = events = await _list(gateway)
    owner = deleted["actor"]["id"]
    expected = {
        "&action=contacts.created": [events[1], oldest],
        f"&object={first}": [deleted, oldest],
        f"&object={second}": [events[1]],
        f"&actor={owner}": [deleted],
        f"&actor={owner}&action=contacts.created": [],
        "&actor_kind=user": [],
        "&category=management": [],
        "&category=data&actor_kind=api_key": events,
        f"&created_at[gte]={deleted['created_at']}": [deleted],
        f"&created_at[lt]={deleted['created_at']}": [events[1], oldest],
        "&created_at[gte]=0001-01-01T00:00:00Z&created_at[lt]=9999-12-31T23:59:59Z": events,
        "&sort=created_at": events[::-1],
    }
    for query, found in expected.items():
        assert await _list(gateway, query) == found, query


@pytest.mark.parametrize(
    "query",
    [
        *("created_at[gt]=2026-01-31T12:00:00Z", "created_at[gte]=yesterday", "actor=nobody", "object=key_1"),
        *("category=other", "actor_kind=admin", "cursor=abc", "sequence=1", "action=a&action=b", "limit=101"),
    ],
)
async def test_a_query_that_is_not_defined_is_refused(gateway: Gateway, query: str) -> None:
    """422 for an unknown parameter, operator or value."""
    answer = await gateway.client.get(f"{_PATH}?{query}", headers=gateway.acme.key("admin"))
    assert answer.status_code == 422, answer.text


async def test_no_event_is_in_two_pages_while_they_are_chained(gateway: Gateway) -> None:
    """DA3: a page ends with an event that gets its sequence before the next page is read."""
    names = [await _make(gateway, f"contact {number}") for number in range(7)]
    seen: list[str] = []
    path = f"{_PATH}?limit=2"
    while path:
        page = (await gateway.client.get(path, headers=gateway.acme.key("admin"))).json()
        seen += [each["object"] for each in page["data"]]
        await chain(gateway)
        await _make(gateway, "newer")
        path = f"{_PATH}?limit=2&cursor={page['next_cursor']}" if page["has_more"] else ""
    assert seen == names[::-1]


async def test_a_log_is_its_tenants_and_needs_the_permission(gateway: Gateway) -> None:
    """AZ1, AZ4: another tenant's event does not exist; members and viewers read none."""
    await _make(gateway, "Ada")
    (event,) = await _list(gateway)
    assert await _list(gateway, tenant=gateway.globex) == []
    answer = await gateway.client.get(f"{_PATH}/{event['id']}", headers=gateway.globex.key("owner"))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    for role in ("member", "viewer"):
        for path in (_PATH, f"{_PATH}/{event['id']}", f"{_PATH}/export"):
            assert (await gateway.client.get(path, headers=gateway.acme.key(role))).status_code == 403


async def test_an_export_has_every_event_of_the_list(gateway: Gateway) -> None:
    """DA6: JSON Lines and CSV, the oldest first, with the filters of the list; decimals keep their digits."""
    await _make(gateway, 'Ada, "the" first\nof all')
    await _make(gateway, "Bea", notes="=1+1")
    await chain(gateway)
    await _make(gateway, "Cem")
    listed = (await _list(gateway))[::-1]
    answer = await gateway.client.get(f"{_PATH}/export", headers=gateway.acme.key("admin"))
    assert answer.headers["content-type"] == "application/jsonl"
    assert answer.headers["content-disposition"] == 'attachment; filename="audit-events.jsonl"'
    assert [orjson.loads(line) for line in answer.content.splitlines()] == listed
    answer = await gateway.client.get(
        f"{_PATH}/export?format=csv&object={listed[1]['object']}", headers=gateway.acme.key("admin")
    )
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    heading, row = csv.reader(io.StringIO(answer.text))
    cells = dict(zip(heading, row, strict=True))
    assert (cells["id"], cells["sequence"], cells["action"]) == (listed[1]["id"], "2", "contacts.created")
    assert orjson.loads(cells["after"]) == listed[1]["after"]
    for query in ("format=xml", "limit=1", "cursor=x"):
        refused = await gateway.client.get(f"{_PATH}/export?{query}", headers=gateway.acme.key("admin"))
        assert refused.status_code == 422


async def test_an_export_of_many_events_needs_little_memory(gateway: Gateway) -> None:
    """DA6: 50,000 events, and one whose states are a megabyte each, in batches."""
    work = gateway.services.database.statements(gateway.acme.ref)
    await service.create(work, _CONTACTS, {"name": "Ada"}, origin=SYSTEM)
    tamper(
        gateway.urls,
        gateway.acme.ref,
        "INSERT INTO {log} (id, type, object_id, actor_kind, before, after)"
        " SELECT (lpad(to_hex(number), 8, '0') || '-0000-7000-8000-000000000000')::uuid, type, object_id, actor_kind,"
        " jsonb_build_object('text', repeat('x', CASE mod(number, 5000) WHEN 0 THEN 1000000 ELSE 300 END)),"
        " after FROM {log}, generate_series(1, %s) AS number",
        _MANY - 1,
    )
    headers = [(b"host", b"gateway.test"), (b"x-api-key", gateway.acme.keys["admin"].encode())]
    scope = http_scope(path=f"{_PATH}/export", headers=headers)
    lines, largest = 0, 0

    async def receive() -> Message:
        await asyncio.Event().wait()  # a client that stays
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal lines, largest
        body = message.get("body", b"")
        lines, largest = lines + body.count(b"\n"), max(largest, len(body))

    tracemalloc.start()
    try:
        await gateway.app(scope, receive, send)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert lines == _MANY
    assert largest < 4_000_000
    assert peak < 40_000_000
