"""Refusals worth knowing are in the audit log, at most once a minute for each object, with their number."""

from collections import Counter
from typing import Any

import pytest

from tenants.audit.origin import Origin
from tenants.audit.refusals import Refusals
from tenants.errors import Unavailable
from tenants.identifiers import TenantId, new_id
from tenants.principal import ANONYMOUS_ACTOR
from tests.fixtures.events import events_of
from tests.fixtures.gateways import PASSWORD, Gateway

pytestmark = pytest.mark.anyio

_ORIGIN = Origin(ANONYMOUS_ACTOR, "req_1", "203.0.113.7")


class Clock:
    """Seconds, set by the test."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def _rows(gateway: Gateway) -> list[tuple[str, int, str | None]]:
    """Action, number and source of each row."""
    events = events_of(gateway.urls, gateway.acme.ref)
    return [(each["type"], each["after"]["count"], each["source"]) for each in events if each["category"] == "access"]


async def _totals(gateway: Gateway) -> Counter[str]:
    """Refusals by action, in as many rows as the background task has written meanwhile."""
    await gateway.services.features.refusals.flush(everything=True)
    totals: Counter[str] = Counter()
    for action, number, source in _rows(gateway):
        assert source == "127.0.0.1"
        totals[action] += number
    return totals


async def test_refusals_of_a_minute_are_one_row(gateway: Gateway) -> None:
    """One at once, the next not before the minute is over, with what came in between; each object has its own."""
    clock = Clock()
    refusals, tenant, objects = (
        Refusals(gateway.services.database, clock=clock),
        gateway.acme.ref.id,
        [new_id(), new_id()],
    )
    for _ in range(3):
        refusals.note(tenant, "sign_in.refused", objects[0], _ORIGIN)
    await refusals.flush()
    for _ in range(5):
        refusals.note(tenant, "sign_in.refused", objects[0], _ORIGIN)
    refusals.note(tenant, "sign_in.refused", objects[1], _ORIGIN)
    clock.now += 59.9
    await refusals.flush()
    assert _rows(gateway) == [("sign_in.refused", 3, "203.0.113.7"), ("sign_in.refused", 1, "203.0.113.7")]
    clock.now += 0.1
    await refusals.flush()
    assert _rows(gateway)[2:] == [("sign_in.refused", 5, "203.0.113.7")]
    clock.now += 600
    await refusals.flush()
    assert (len(_rows(gateway)), refusals.recorded, refusals.waiting, refusals.dropped) == (3, 9, 0, 0)


async def test_kinds_beyond_the_bound_are_counted_as_dropped(gateway: Gateway) -> None:
    """At the bound, and one beyond; a kind that is remembered already is still counted."""
    refusals, tenant = Refusals(gateway.services.database, most=2), gateway.acme.ref.id
    objects = [new_id() for _ in range(3)]
    for each in (*objects, objects[0]):
        refusals.note(tenant, "sign_in.refused", each, _ORIGIN)
    assert (refusals.waiting, refusals.dropped) == (3, 1)
    await refusals.close()
    assert (len(_rows(gateway)), refusals.recorded) == (2, 3)


async def test_what_postgresql_does_not_take_now_is_written_later(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage loses none; a tenant that is gone is given up, and delays no other."""
    clock = Clock()
    refusals = Refusals(gateway.services.database, clock=clock)
    refusals.note(gateway.acme.ref.id, "sign_in.refused", new_id(), _ORIGIN)

    def down(*_: Any) -> None:
        raise Unavailable(detail="down")

    with monkeypatch.context() as patch:
        patch.setattr(gateway.services.database, "control", down)
        await refusals.flush()
    assert (refusals.waiting, refusals.recorded) == (1, 0)
    clock.now += 5
    refusals.note(TenantId(new_id()), "sign_in.refused", new_id(), _ORIGIN)
    await refusals.flush()
    assert (refusals.waiting, refusals.recorded, refusals.dropped) == (0, 1, 1)
    assert len(_rows(gateway)) == 1


async def test_a_key_used_from_a_refused_address_and_a_revoked_key_are_noted(gateway: Gateway) -> None:
    """With the key as object and actor; a key that was never ours belongs to no log."""
    owner = gateway.acme.key("owner")
    body = {"name": "office", "role": "viewer", "allowed_cidrs": ["203.0.113.0/24"]}
    office = (await gateway.client.post("/v1/api-keys", json=body, headers=owner)).json()
    ended = (await gateway.client.post("/v1/api-keys", json={"name": "x", "role": "viewer"}, headers=owner)).json()
    await gateway.client.post(f"/v1/api-keys/{ended['id']}/revoke", headers=owner)
    await gateway.catch_up()
    unknown = ended["secret"][:-1] + ("0" if ended["secret"][-1] != "0" else "1")
    expected = ((office["secret"], "ip_not_allowed"), (ended["secret"], "credential_revoked"))
    for secret, code in (*expected, *expected, (unknown, "credential_invalid")):
        answer = await gateway.client.get("/v1/me", headers={"X-API-Key": secret})
        assert answer.json()["code"] == code
    assert await _totals(gateway) == {"api_keys.address_refused": 2, "api_keys.revoked_key_used": 2}
    events = [each for each in events_of(gateway.urls, gateway.acme.ref) if each["category"] == "access"]
    assert all(each["actor_id"] == each["object_id"] for each in events)
    assert {each["actor_kind"] for each in events} == {"api_key"}


async def _log_in(gateway: Gateway, password: str, tenant: str = "acme", email: str = "") -> Any:
    body = {"email": email or gateway.acme.emails["viewer"], "password": password, "tenant": tenant}
    return await gateway.client.post("/v1/auth/login", json=body, headers={"user-agent": "Browser/1"})


async def test_sign_ins_and_wrong_passwords_of_members_are_in_the_log(gateway: Gateway) -> None:
    """With person, methods and client, and no password (SE2); what concerns no member of the tenant is in no log."""
    assert (await _log_in(gateway, PASSWORD)).status_code == 200
    for _ in range(2):
        assert (await _log_in(gateway, "a wrong passphrase of mine")).status_code == 401
    assert (await _log_in(gateway, PASSWORD, tenant="globex")).status_code == 401
    assert (await _log_in(gateway, PASSWORD, email="nobody@acme.example")).status_code == 401
    await gateway.services.features.refusals.flush(everything=True)
    assert events_of(gateway.urls, gateway.globex.ref) == []
    good, *refused = events_of(gateway.urls, gateway.acme.ref)
    assert (good["type"], good["actor_kind"], good["actor_id"]) == ("sign_in.succeeded", "user", good["object_id"])
    assert good["after"].pop("session").startswith("ses_")
    assert good["after"] == {"methods": ["pwd"], "user_agent": "Browser/1"}
    assert (good["source"], good["category"]) == ("127.0.0.1", "access")
    assert {(each["type"], each["actor_kind"], each["object_id"]) for each in refused} == {
        ("sign_in.refused", "anonymous", good["object_id"])
    }
    assert sum(each["after"]["count"] for each in refused) == 2
    assert "passphrase" not in str([good, refused])


async def test_a_reused_refresh_token_and_a_sign_out_are_in_the_log(gateway: Gateway) -> None:
    """ID8: that a token was stolen is what an owner has to know; repeated, it ends nothing more."""
    first = (await _log_in(gateway, PASSWORD)).json()["refresh_token"]
    tokens = [first]
    for _ in range(2):
        body = {"refresh_token": tokens[-1]}
        tokens.append((await gateway.client.post("/v1/auth/refresh", json=body)).json()["refresh_token"])
    for _ in range(2):
        reused = await gateway.client.post("/v1/auth/refresh", json={"refresh_token": first})
        assert reused.json()["code"] == "credential_revoked"
    second = (await _log_in(gateway, PASSWORD)).json()["refresh_token"]
    for _ in range(2):
        await gateway.client.post("/v1/auth/logout", json={"refresh_token": second})
    events = events_of(gateway.urls, gateway.acme.ref)
    assert [event["type"] for event in events] == [
        *("sign_in.succeeded", "sign_in.token_reused", "sign_in.succeeded", "sign_in.ended"),
    ]
    assert [event["actor_kind"] for event in events] == ["user", "anonymous", "user", "user"]
    assert not any(token in str(events) for token in (*tokens, second))
