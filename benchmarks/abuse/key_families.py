"""A key that may make five requests a minute makes more of them through keys of its own making."""

from typing import Any

import httpx

from benchmarks.abuse.target import Finding, Target
from benchmarks.deployment import PLAN

_LIMIT = {"name": "own", "quota": 5, "window_seconds": 60}
_GENERATIONS = 5  # of successors
_OK, _CREATED = 200, 201


def measure(target: Target) -> list[Finding]:
    """Requests for data within some seconds, where five are allowed in a minute."""
    admin = target.add_tenant("families", PLAN).headers
    with httpx.Client(base_url=target.url, trust_env=False) as client:
        return [
            Finding("requests of a 5-a-minute key through its successors", _through_successors(client, admin)),
            Finding("requests of a 5-a-minute key through its children", _through_children(client, admin)),
        ]


def _through_successors(client: httpx.Client, admin: dict[str, str]) -> int:
    """Each one leaves a request of its own for its rotation, where that counts too."""
    key, admitted = _limited(client, admin), 0
    for _ in range(_GENERATIONS):
        admitted += _admitted(client, key, 4)
        answer = client.post(f"/v1/api-keys/{key['id']}/rotate", headers=_holding(key))
        if answer.status_code != _CREATED:
            break
        key = answer.json()
    return admitted


def _through_children(client: httpx.Client, admin: dict[str, str]) -> int:
    key = _limited(client, admin)
    wanted = {"name": "child", "role": "member"}
    answers = [client.post("/v1/api-keys", json=wanted, headers=_holding(key)) for _ in range(6)]
    children = [answer.json() for answer in answers if answer.status_code == _CREATED]
    return sum(_admitted(client, each, 6) for each in [*children, key])


def _limited(client: httpx.Client, admin: dict[str, str]) -> dict[str, Any]:
    wanted = {"name": "limited", "role": "admin", "limits": [_LIMIT]}
    made: dict[str, Any] = client.post("/v1/api-keys", json=wanted, headers=admin).raise_for_status().json()
    return made


def _admitted(client: httpx.Client, key: dict[str, Any], count: int) -> int:
    answers = [client.get("/v1/contacts", params={"limit": 1}, headers=_holding(key)) for _ in range(count)]
    return sum(answer.status_code == _OK for answer in answers)


def _holding(key: dict[str, Any]) -> dict[str, str]:
    return {"X-API-Key": key["secret"]}
