"""An explanation is what the gate then does: random principals and requests, compared with the stages themselves."""

from collections import Counter
from random import Random
from time import monotonic
from typing import Any

import pytest
from hypothesis import settings

from gateway.request.route import Route
from tenants.identifiers import TENANT, show
from tests.fixtures.explained import (
    HOUR,
    Credential,
    Population,
    RecordingGate,
    explained,
    verdict_of,
)
from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio

_CLIENTS = ("192.0.2.1", "10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1", "10.2.0.1")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
_UNKNOWN = ("/", "/nothing", "/v1/contacts/", "/v1//contacts", "/v1/contacts/a%2Fb", "/v1/%2e%2e/me", "/v1/./me",
            "/v1/contact%73", "/v1/contacts/%C3%A4?stage=x", "/v2", "/operator/v1/nothing")  # fmt: skip
_ID = "01kc2q7v8ze1rb9m3x5w6t0h4d"


def _number() -> int:
    """How many pairs; the soak profile takes the number that the issue of this feature asks for."""
    return 10_000 if settings().max_examples > 100 else 360


def _request(random: Random, routes: tuple[Route, ...], name: str) -> tuple[str, str]:
    route, kind = random.choice(routes), random.random()
    if kind > 0.5 and name == "one request":  # whose limit is less than the cost
        return "POST", f"/v1/deals/deal_{_ID}/win"
    path = "/".join(f"x_{_ID}" if each.startswith("{") else each for each in route.template.split("/"))
    if kind < 0.7:
        return route.method, path
    return random.choice(_METHODS), path if kind < 0.85 else random.choice(_UNKNOWN)


async def _pair(gateway: Gateway, gate: RecordingGate, credential: Credential, random: Random) -> tuple[str, str]:
    """Ask, then send; what the gate did, and the explanation when it differs."""
    while True:
        (method, path), client = _request(random, gate.routes, credential.name), random.choice(_CLIENTS)
        asks_itself = credential.works and random.random() < 0.3 and "networks" not in credential.name
        named = {} if asks_itself else {"principal": credential.id}
        body: dict[str, Any] = {"method": method, "path": path, "client": client, **named}
        began = monotonic()
        explanation = await explained(gateway, credential.headers if asks_itself else credential.asker, body)
        found = await gate.verdict(method, path, credential.headers, client)
        if not _has_more(explanation, monotonic() - began):
            break
    differs = found != verdict_of(explanation)
    difference = f"{credential.name} {method} {path} {client}: {found}, not {explanation}" if differs else ""
    return "allowed" if found is None else found[1], difference


def _has_more(explanation: dict[str, Any], elapsed: float) -> bool:
    """Whether a window that refuses has more left by now, so that the gate may have admitted the request."""
    limits = explanation["limits"]
    return bool(limits) and any(each["refuses"] and each["resets_in_seconds"] < elapsed for each in limits["windows"])


@pytest.mark.timeout(1_800)  # of the soak, on a loaded machine
async def test_the_gate_does_what_the_explanation_says(gateway: Gateway) -> None:
    """AZ10: status and code of every pair, over principals in every state, all routes, unknown paths and methods.

    In the middle the tenant's concurrency is used up. Afterwards the plan itself is.
    """
    plan = {"windows": [{"name": "hour", "quota": 100_000, "window_seconds": HOUR}], "concurrency": 1}
    changed = await gateway.client.patch("/operator/v1/plans/scale", json=plan, headers=gateway.operator)
    changed.raise_for_status()
    people, gate, random, number = await Population(gateway).make(), RecordingGate.of(gateway), Random(11), _number()  # noqa: S311 - a seed
    outcomes: Counter[str] = Counter()
    differences: list[str] = []

    async def run(share: float) -> None:
        for _ in range(int(number * share)):
            outcome, difference = await _pair(gateway, gate, random.choice(people), random)
            outcomes[outcome] += 1
            differences.extend([difference] if difference else [])

    await run(0.6)
    async with gate.held("/v1/contacts", gateway.acme.key("owner")):
        await run(0.2)
    path = f"/operator/v1/tenants/{show(TENANT, gateway.acme.ref.id)}"
    few = {"windows": [{"name": "hour", "quota": 5, "window_seconds": HOUR}], "concurrency": 1}
    (await gateway.client.patch("/operator/v1/plans/free", json=few, headers=gateway.operator)).raise_for_status()
    (await gateway.client.patch(path, json={"plan": "free"}, headers=gateway.operator)).raise_for_status()
    await gateway.catch_up()
    await run(0.2)
    assert not differences, f"{len(differences)} of {number}: {differences[0]}"
    assert outcomes.keys() == {
        *("allowed", "forbidden", "not_found", "method_not_allowed", "rate_limited", "concurrency_limited"),
        *("credential_revoked", "credential_expired", "tenant_suspended", "ip_not_allowed", "entitlement_required"),
    }
