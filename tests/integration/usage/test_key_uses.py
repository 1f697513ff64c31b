"""Uses of API keys reach ``api_key_uses`` in batches, each exactly once, and go with their key."""

import asyncio
import time
from datetime import datetime
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from billing.usage.service import Usage
from tenants.database.sessions import ControlSession
from tenants.errors import Unavailable
from tenants.identifiers import API_KEY, read
from tests.fixtures.gateways import PASSWORD, Gateway, GatewayFactory

pytestmark = pytest.mark.anyio
_KEYS = "/v1/api-keys"


async def _flush(gateway: Gateway) -> None:
    """Write what was journalled, and what was noted."""
    gateway.services.usage.journal.finish_current()
    await gateway.services.usage.flusher.round()
    await gateway.services.usage.key_uses.flush()


async def _shown(gateway: Gateway, role: str) -> dict[str, Any]:
    """The seeded key of that role, as the list shows it."""
    answer = await gateway.client.get(_KEYS, params={"name": f"the {role} key"}, headers=gateway.acme.key("owner"))
    (found,) = answer.json()["data"]
    key: dict[str, Any] = found
    return key


def _version(gateway: Gateway) -> int:
    with psycopg.connect(gateway.urls.owner) as connection:
        query = "SELECT sum(version) FROM tenantry.api_keys"
        ((total,),) = connection.execute(query).fetchall()
        return int(total)


async def test_every_admitted_request_of_a_key_is_a_use(gateway: Gateway) -> None:
    """OP2: data, management and refused by role; neither people's requests nor refused credentials."""
    client, member = gateway.client, gateway.acme.key("member")
    before = _version(gateway)
    assert (await _shown(gateway, "member"))["last_used_at"] is None
    started = time.time()
    for path, status in (("/v1/contacts", 200), ("/v1/contacts", 200), ("/v1/me", 200), (_KEYS, 403)):
        assert (await client.get(path, headers=member)).status_code == status
    sent = {"email": gateway.acme.emails["member"], "password": PASSWORD, "tenant": "acme"}
    token = (await client.post("/v1/auth/login", json=sent)).json()["access_token"]
    assert (await client.get("/v1/me", headers={"Authorization": f"Bearer {token}"})).status_code == 200
    await _flush(gateway)
    key = await _shown(gateway, "member")
    assert (key["requests"], key["last_used_from"]) == (4, "127.0.0.1")
    filters = {"last_used_at[gte]": key["last_used_at"], "role": "member"}
    listed = await client.get(_KEYS, params=filters, headers=gateway.acme.key("owner"))
    assert [each["id"] for each in listed.json()["data"]] == [key["id"]]
    assert started <= datetime.fromisoformat(key["last_used_at"]).timestamp() <= time.time()
    await _flush(gateway)
    assert (await _shown(gateway, "member"))["requests"] == 4
    assert _version(gateway) == before, "a use is no change of the key"


async def test_several_workers_add_to_one_key(gateways: GatewayFactory) -> None:
    """OP2: sums of all, and the last use of any, in whatever order they write."""
    async with gateways() as first, gateways() as second:
        for worker in (first, second):
            for path in ("/v1/contacts", "/v1/me"):
                await worker.client.get(path, headers=worker.acme.key("member"))
        await _flush(second)
        last = (await _shown(second, "member"))["last_used_at"]
        await asyncio.gather(_flush(first), _flush(second))
        shown = await _shown(first, "member")
        assert (shown["requests"], shown["last_used_at"]) == (4, last)


async def test_a_batch_whose_commit_was_not_confirmed_is_added_once(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OP2: the connection was lost after the commit; the batch is sent again under its own number."""
    recorder, usage = gateway.services.usage.key_uses, gateway.services.features.usage
    apply = usage.apply_key_uses

    async def commit_and_fail(session: ControlSession, *batch: Any) -> bool:
        await apply(session, *batch)
        await session.commit()
        raise Unavailable(detail="lost")

    await gateway.client.get("/v1/me", headers=gateway.acme.key("member"))
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(Usage, "apply_key_uses", lambda _self, session, *batch: commit_and_fail(session, *batch))
        await recorder.flush()
        await gateway.client.get("/v1/me", headers=gateway.acme.key("member"))
        await recorder.flush()
    assert [each["event"] for each in logs if each["log_level"] == "warning"] == ["key_uses_unavailable"]
    await recorder.flush()
    assert (await _shown(gateway, "member"))["requests"] == 2


async def test_uses_go_with_their_key_and_fail_no_batch(gateway: Gateway) -> None:
    """OP2: a key of a tenant that was just deleted is left out; the row of a deleted key is deleted."""
    member, theirs = await _shown(gateway, "member"), gateway.globex.key("member")
    for headers in (gateway.acme.key("member"), theirs):
        await gateway.client.get("/v1/me", headers=headers)
    await _flush(gateway)
    for headers in (gateway.acme.key("member"), theirs):
        await gateway.client.get("/v1/me", headers=headers)
    with psycopg.connect(gateway.urls.owner) as connection:  # deleting by the API would drop a role of the template
        connection.execute("DELETE FROM tenantry.tenants WHERE slug = 'globex'")
    await _flush(gateway)
    assert (await _shown(gateway, "member"))["requests"] == 2
    with psycopg.connect(gateway.urls.owner) as connection:
        query = "SELECT count(*) FROM tenantry.api_key_uses u LEFT JOIN tenantry.api_keys k ON k.id = u.key_id"
        ((orphans,),) = connection.execute(query + " WHERE k.id IS NULL").fetchall()
        assert orphans == 0
        key = read(API_KEY, member["id"])
        ((stored,),) = connection.execute(query + " WHERE k.id = %s", (key,)).fetchall()
        assert stored == 1
