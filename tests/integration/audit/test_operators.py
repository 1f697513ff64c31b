"""The operators' log: what is in it, who reads it, and that nobody changes it."""

import asyncio
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tenants.audit.checkpoint_writer import CheckpointWriter
from tenants.audit.checkpoints import read_checkpoints
from tenants.audit.origin import COMMAND_LINE
from tenants.audit.repository import OperatorEventFilter
from tenants.audit.verifier import FaultKind
from tenants.database.keyset import Keyset
from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio

_LOG, _KEYS, _PLANS = "/operator/v1/audit-events", "/operator/v1/operator-keys", "/operator/v1/plans"
_PLAN = {"code": "tiny", "name": "Tiny", "rank": 7, "windows": [{"name": "hour", "quota": 9, "window_seconds": 3600}]}


async def _post(gateway: Gateway, path: str, **body: Any) -> Any:
    answer = await gateway.client.post(path, json=body, headers=gateway.operator)
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


async def _events(gateway: Gateway, **query: str | int) -> list[dict[str, Any]]:
    answer = await gateway.client.get(_LOG, params=query, headers=gateway.operator)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


async def test_what_an_operator_changes_is_in_the_log_with_its_origin(gateway: Gateway) -> None:
    """AU1, SE2: before and after, without secrets; nothing for a request that is refused or changes nothing."""
    (mine,) = await _events(gateway, action="operator_keys.created")
    made = await _post(gateway, _KEYS, name="on-call", role="support")
    revoked = await gateway.client.post(f"{_KEYS}/{made['id']}/revoke", headers=gateway.operator)
    await gateway.client.post(f"{_KEYS}/{made['id']}/revoke", headers=gateway.operator)
    await _post(gateway, _PLANS, **_PLAN)
    assert (await gateway.client.post(_PLANS, json=_PLAN, headers=gateway.operator)).status_code == 409
    for name in ("Small", "Small"):
        await gateway.client.patch(f"{_PLANS}/tiny", json={"name": name}, headers=gateway.operator)
    tenant = await _post(gateway, "/operator/v1/tenants", slug="initech", name="Initech", plan="tiny")
    await _post(gateway, f"/operator/v1/tenants/{tenant['id']}/suspend", reason="unpaid")
    await gateway.client.delete(f"/operator/v1/tenants/{tenant['id']}", headers=gateway.operator)
    events = await _events(gateway, actor=mine["object"], sort="created_at")
    assert [(each["action"], each["object"]) for each in events] == [
        ("operator_keys.created", made["id"]),
        ("operator_keys.revoked", made["id"]),
        ("plans.created", "tiny"),
        ("plans.updated", "tiny"),
        ("tenant.created", tenant["id"]),
        ("tenant.suspended", tenant["id"]),
        ("tenant.deleted", tenant["id"]),
    ]
    assert {each["actor"]["kind"] for each in events} == {"operator"}
    assert events[1]["request_id"] == revoked.headers["x-request-id"]
    assert (events[1]["before"]["revoked_at"], events[1]["after"]["revoked_at"] is None) == (None, False)
    assert (events[3]["before"]["name"], events[3]["after"]["name"]) == ("Tiny", "Small")
    assert (events[5]["reason"], events[6]["before"]["slug"], events[6]["after"]) == ("unpaid", "initech", None)
    assert made["secret"] not in str(events)
    assert tenant["api_key"]["secret"] not in str(events)


async def test_the_log_is_read_in_pages_and_by_filters(gateway: Gateway) -> None:
    """AZ1: by operators who may read, and by nobody else."""
    for number in range(3):
        await _post(gateway, _KEYS, name=f"key {number}", role="verifier")
    everything = await _events(gateway, limit=100)
    assert [each["sequence"] for each in everything] == list(range(len(everything), 0, -1))
    first = (await gateway.client.get(_LOG, params={"limit": 2}, headers=gateway.operator)).json()
    rest = await _events(gateway, cursor=first["next_cursor"], limit=2)
    assert [*first["data"], *rest] == everything[:4]
    one = everything[0]
    assert await _events(gateway, object=one["object"]) == [one]
    assert await _events(gateway, actor_kind="cli") == []
    assert await _events(gateway, **{"created_at[gte]": one["created_at"]}) == [one]
    assert one not in await _events(gateway, **{"created_at[lt]": one["created_at"], "limit": 100})
    read = await gateway.client.get(f"{_LOG}/{one['id']}", headers=gateway.operator)
    assert (read.json(), "etag" in read.headers) == (one, True)
    assert (await gateway.client.get(f"{_LOG}/{_made_up(one['id'])}", headers=gateway.operator)).status_code == 404
    assert (await gateway.client.get(_LOG, headers=gateway.acme.key("owner"))).status_code == 403
    assert (await gateway.client.get(_LOG, params={"actor": "x"}, headers=gateway.operator)).status_code == 422


def _made_up(identifier: str) -> str:
    """The id of an event that there is not."""
    return identifier[:-1] + ("0" if identifier[-1] != "0" else "1")


async def test_changes_at_once_make_one_chain(gateway: Gateway, tmp_path: Path) -> None:
    """AU2: each waits for the one before; an edit, a deletion, a truncation and a new chain are found."""
    await asyncio.gather(*(_post(gateway, _KEYS, name=f"key {each}", role="verifier") for each in range(8)))
    log, keys = gateway.services.features.operator_log, gateway.services.features.tokens.keys
    await CheckpointWriter(gateway.services.database, keys, tmp_path).write()
    ends = read_checkpoints(tmp_path, None, keys.find).ends[None]
    honest = await log.verify(ends)
    assert (honest.good, honest.events) == (True, ends[-1].sequence)
    edits = {
        FaultKind.CHANGED: "UPDATE tenantry.operator_events SET after = NULL WHERE sequence = 2",
        FaultKind.MISSING: "DELETE FROM tenantry.operator_events WHERE sequence = 2",
        FaultKind.TRUNCATED: "DELETE FROM tenantry.operator_events WHERE sequence > 2;"
        " UPDATE tenantry.operator_event_chains SET last_sequence = 2, last_hash ="
        " (SELECT hash FROM tenantry.operator_events WHERE sequence = 2)",
        FaultKind.ADDED: "DELETE FROM tenantry.operator_event_chains",
    }
    for kind, edit in edits.items():
        with psycopg.connect(gateway.urls.superuser, autocommit=True) as superuser:
            superuser.execute("CREATE TABLE kept AS TABLE tenantry.operator_events")
            superuser.execute("CREATE TABLE kept_end AS TABLE tenantry.operator_event_chains")
            superuser.execute(edit.encode())
            assert kind in {each.kind for each in (await log.verify(ends)).faults.named}
            superuser.execute("DELETE FROM tenantry.operator_events; DELETE FROM tenantry.operator_event_chains")
            superuser.execute("INSERT INTO tenantry.operator_events TABLE kept; DROP TABLE kept")
            superuser.execute("INSERT INTO tenantry.operator_event_chains TABLE kept_end; DROP TABLE kept_end")
    assert (await log.verify(ends)).good


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tenantry.operator_events SET reason = 'x'",
        "DELETE FROM tenantry.operator_events",
        "TRUNCATE tenantry.operator_events",
        "INSERT INTO tenantry.operator_events SELECT * FROM tenantry.operator_events",
        "UPDATE tenantry.operator_event_chains SET last_hash = ''",
        "DELETE FROM tenantry.operator_event_chains",
    ],
)
async def test_no_role_of_the_gateway_changes_the_log(gateway: Gateway, statement: str) -> None:
    """AU1: append-only by grant."""
    with psycopg.connect(gateway.urls.gateway) as connection:
        connection.execute("SET LOCAL ROLE tenantry_control")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())


async def test_a_change_that_fails_leaves_no_row(gateway: Gateway) -> None:
    """AU1: the row is written in the transaction of the change."""
    before = await _events(gateway, limit=100)
    service = gateway.services.features.operator_keys
    async with gateway.services.database.control() as session:
        (found,) = await service.page(session, Keyset(1))
        await service.revoke(session, found.id, origin=COMMAND_LINE)
        assert (
            len(await gateway.services.features.operator_log.page(session, OperatorEventFilter(), Keyset(100)))
            == len(before) + 1
        )
        await session.rollback()
    assert await _events(gateway, limit=100) == before
