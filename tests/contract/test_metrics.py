"""``/metrics``: for operators and configured networks only, without data of tenants."""

import re
from pathlib import Path

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from gateway.app import compose
from gateway.gate.access_log import AccessLog
from gateway.metrics.recorder import MetricsFolderUnusable
from tests.fixtures.gateways import BASE_URL, Gateway, GatewayFactory

pytestmark = pytest.mark.anyio

_LABELS = {"route", "method", "status", "le", "code", "outcome", "fate", "pool", "state", "kind", "generation", "cause"}
_OF_UPSTREAMS = {"upstream", "target", "result", "sender"}  # names of the configuration, and our own enumerations
_OF_THE_BUILD = {"version", "implementation", "major", "minor", "patchlevel"}
_STATES = ("in_use", "idle", "waiting")


async def _read(gateway: Gateway) -> dict[str, Metric]:
    answer = await gateway.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def _value(metrics: dict[str, Metric], name: str, **labels: str) -> float:
    (found,) = (each.value for each in metrics[name].samples if each.labels == labels and "_created" not in each.name)
    return found


async def test_every_part_of_a_worker_has_metrics(gateway: Gateway) -> None:
    """Requests, throttle, caches, pools, event loop, process."""
    key = gateway.acme.key("admin")
    made = (
        await gateway.client.post("/v1/api-keys", json={"name": "short-lived", "role": "viewer"}, headers=key)
    ).json()
    assert (await gateway.client.post(f"/v1/api-keys/{made['id']}/revoke", headers=key)).status_code == 204
    for path, headers in (("/v1/me", key), ("/v1/contacts", key), ("/v1/me", {}), ("/v1/nowhere", key)):
        await gateway.client.get(path, headers=headers)
    found = await _read(gateway)
    assert _value(found, "tenantry_requests", route="/v1/me", method="GET", status="2xx") == 1
    assert _value(found, "tenantry_requests", route="/v1/me", method="GET", status="4xx") == 1
    assert _value(found, "tenantry_refusals", code="credential_missing") == 1
    assert _value(found, "tenantry_refusals", code="not_found") == 1
    assert _value(found, "tenantry_requests_in_flight") == 1  # this one
    assert _value(found, "tenantry_throttle_redis_calls", outcome="answered") >= 1
    assert _value(found, "tenantry_throttle_tokens", fate="leased") >= 1
    assert _value(found, "tenantry_throttle_workers_without_redis") == 0
    assert _value(found, "tenantry_throttle_accounts") == 2  # plan and management
    assert _value(found, "tenantry_principals") == 1
    assert _value(found, "tenantry_principal_loads") == 1
    assert 0 <= _value(found, "tenantry_changes_unconfirmed_seconds") < 60
    assert _value(found, "tenantry_changes_resets") >= 1
    assert _value(found, "tenantry_changes_questions") == 1
    assert _value(found, "tenantry_changes_unanswered") == 0
    assert _value(found, "tenantry_plans") == 3
    assert _value(found, "tenantry_plan_loads") >= 1
    for pool, least in (("sessions", 0), ("statements", 1)):
        states = {state: _value(found, "tenantry_database_connections", pool=pool, state=state) for state in _STATES}
        assert states["waiting"] == 0
        assert (
            least <= states["in_use"] + states["idle"] <= _value(found, "tenantry_database_connections_most", pool=pool)
        )
    assert _value(found, "tenantry_usage_journals_full") == 0
    assert _value(found, "tenantry_event_loop_blocks", cause="computing") >= 0
    assert _value(found, "tenantry_garbage_seconds", generation="2") >= 0
    assert _value(found, "tenantry_workers") == 1
    assert _value(found, "process_resident_memory_bytes") > 1_000_000
    assert _value(found, "process_cpu_seconds") > 0


async def test_metrics_identify_no_tenant_and_no_key(gateway: Gateway) -> None:
    """SE2: labels are templates and constants, so that their number is bounded."""
    key = gateway.acme.key("admin")
    for path in ("/v1/contacts/con_01h455vb4pex5vsknk084sn02q", "/v1/api-keys", "/v1/tn_live_0123456789abcdefghij"):
        await gateway.client.get(path, headers=key)
    text = (await gateway.client.get("/metrics")).text
    for hidden in (gateway.acme.ref.slug, gateway.acme.ref.id.hex, "con_", "tn_live", gateway.acme.keys["admin"][-12:]):
        assert hidden not in text
    names = {name for family in (await _read(gateway)).values() for each in family.samples for name in each.labels}
    assert names <= _LABELS | _OF_UPSTREAMS | _OF_THE_BUILD
    assert re.search(r'route="/v1/contacts/\{id\}"', text)


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        ("203.0.113.9", {}),
        ("127.0.0.1", {"x-forwarded-for": "127.0.0.1"}),
        ("127.0.0.1", {"forwarded": "for=127.0.0.1"}),
        ("127.0.0.1", {"via": "1.1 proxy"}),
        ("::ffff:203.0.113.9", {}),
    ],
)
async def test_other_callers_get_404(gateway: Gateway, peer: str, headers: dict[str, str]) -> None:
    """SE2: by default only this machine may read it; a forwarded request is not from this machine."""
    application = compose(gateway.services, AccessLog())
    transport = httpx.ASGITransport(application, client=(peer, 4711))
    async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as outsider:
        for more in ({}, gateway.acme.key("owner")):
            refused = await outsider.get("/metrics", headers=headers | more)
            assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
        assert (await outsider.get("/metrics", headers=headers | gateway.operator)).status_code == 200


async def test_the_allowed_networks_are_a_setting(gateways: GatewayFactory) -> None:
    async with gateways(metrics_networks="10.1.0.0/16") as opened:
        assert (await opened.client.get("/metrics")).status_code == 404
        transport = httpx.ASGITransport(compose(opened.services, AccessLog()), client=("10.1.2.3", 4711))
        async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as prometheus:
            assert (await prometheus.get("/metrics")).status_code == 200


async def test_an_unwritable_metrics_folder_stops_the_start(gateways: GatewayFactory, tmp_path: Path) -> None:
    blocking = tmp_path / "file"
    blocking.write_text("a file")
    with pytest.raises(MetricsFolderUnusable, match="TENANTRY_METRICS_FOLDER"):
        async with gateways(metrics_folder=blocking / "metrics"):
            raise AssertionError("started")


async def test_workers_that_share_a_folder_are_summed(gateways: GatewayFactory, tmp_path: Path) -> None:
    async with gateways(metrics_folder=tmp_path) as one, gateways(metrics_folder=tmp_path) as other:
        for opened in (one, other, other):
            await opened.client.get("/v1/me", headers=opened.acme.key())
        await other.services.metrics.page()  # writes its counts now, and not within a second
        found = await _read(one)
        assert _value(found, "tenantry_requests", route="/v1/me", method="GET", status="2xx") == 3
        assert _value(found, "tenantry_workers") == 2
    async with gateways(metrics_folder=tmp_path) as successor:
        found = await _read(successor)
        assert _value(found, "tenantry_requests", route="/v1/me", method="GET", status="2xx") == 3
        assert _value(found, "tenantry_workers") == 1
