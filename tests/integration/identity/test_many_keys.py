"""Ending works for any number of keys: who makes more than one transaction changes does not get to stay (ID16)."""

from collections import Counter
from typing import Any

import pytest

from tenants.api_keys.descendants import service, walk
from tenants.audit.origin import SYSTEM
from tenants.directory import repository as directory
from tenants.errors import Unavailable
from tenants.identifiers import USER, UserId, read
from tenants.jobs.app import JobSettings, make_job_app
from tenants.members.jobs import add_member_jobs
from tenants.members.keys import END_TASK
from tests.fixtures.events import events_of
from tests.fixtures.gateways import Gateway
from tests.fixtures.lineage import (
    KEYS,
    MEMBERS,
    Headers,
    MadeKey,
    change_member,
    create,
    make,
    members,
    permissions,
    rotate,
)
from tests.fixtures.people import execute, sign_in
from tests.fixtures.scim import USER as SCIM_USER
from tests.fixtures.scim import provider_of

pytestmark = pytest.mark.anyio

_AT_ONCE = 3
_REVOKED = "credential_revoked"


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_AT_ONCE", _AT_ONCE)
    monkeypatch.setattr(walk, "_ROWS", 2)  # and the lines of keys are read in several statements
    monkeypatch.setattr(walk, "_FOLLOWED", 2)


async def _keys(gateway: Gateway, by: Headers, count: int) -> list[MadeKey]:
    """So many keys that the holder of these headers owns, and as many that these own."""
    made = [await make(gateway, by, role="admin") for _ in range(count)]
    return made + [await make(gateway, each.headers) for each in made]


async def _seen(gateway: Gateway, keys: list[MadeKey]) -> Counter[str]:
    """How many of the keys are refused with which code; empty for those that work."""
    found = [await permissions(gateway, each) for each in keys]
    return Counter(each if isinstance(each, str) else "" for each in found)


def _unmarked(gateway: Gateway) -> int:
    return int(
        execute(gateway, "SELECT count(*) FROM tenantry.api_keys WHERE name = 'a key' AND revoked_at IS NULL")[0][0]
    )


def _revocations(gateway: Gateway) -> Counter[str]:
    """How many rows of the audit log say that a key was revoked, by kind of actor."""
    found = [each for each in events_of(gateway.urls, gateway.acme.ref) if each["type"] == "api_keys.revoked"]
    return Counter(each["actor_kind"] for each in found)


async def _join(gateway: Gateway, user: str) -> None:
    """As an admin, again."""
    identifier = read(USER, user)
    assert identifier is not None
    async with gateway.services.database.control() as session:
        await directory.serialise(session, gateway.acme.ref.id)
        joined = gateway.services.features.people.members.join
        await joined(session, gateway.acme.ref.id, UserId(identifier), ["admin"], origin=SYSTEM)


async def _run_jobs(gateway: Gateway) -> None:
    execute(gateway, "UPDATE tenantry.procrastinate_jobs SET scheduled_at = now() WHERE task_name = %s", END_TASK)
    app = make_job_app(gateway.services.settings.database, JobSettings(polling=0.05))
    add_member_jobs(app, gateway.services.database, gateway.services.features.people.members.keys)
    async with app.open_async():
        await app.run_worker_async(wait=False, queues=["outbox"])


async def test_a_person_is_removed_and_nothing_they_owned_comes_back(gateway: Gateway) -> None:
    """ID15, ID16: one step ends all keys, marked or not; joining, handing over and rotating revive none of them."""
    ids, owner = await members(gateway), gateway.acme.key("owner")
    person = await sign_in(gateway, "admin")
    keys = await _keys(gateway, person.headers, 5)
    assert (await gateway.client.delete(f"{MEMBERS}/{ids['admin']}", headers=owner)).status_code == 204
    assert _unmarked(gateway) == 10 - _AT_ONCE
    assert await _seen(gateway, keys) == {_REVOKED: 10}
    await _join(gateway, ids["admin"])
    assert _unmarked(gateway) == 10 - 2 * _AT_ONCE
    assert await _seen(gateway, keys) == {_REVOKED: 10}
    alive = execute(gateway, "SELECT last4 FROM tenantry.api_keys WHERE name = 'a key' AND revoked_at IS NULL")
    [left, *_] = [key for key in keys if (key.shown["last4"],) in alive]
    keys.append(await rotate(gateway, owner, left, overlap_seconds=3600))
    new = await make(gateway, (await sign_in(gateway, "admin")).headers)
    path = f"{MEMBERS}/{ids['admin']}/api-keys/hand-over"
    handed = await gateway.client.post(path, json={"to": ids["owner"]}, headers=owner)
    assert (handed.status_code, handed.json()) == (200, {"keys": 1})
    assert await _seen(gateway, [*keys, new]) == {_REVOKED: 11, "": 1}
    await _run_jobs(gateway)
    assert _unmarked(gateway) == 1
    assert await _seen(gateway, [*keys, new]) == {_REVOKED: 11, "": 1}
    assert _revocations(gateway)["api_key"] == _AT_ONCE
    assert _revocations(gateway).total() == 11


async def test_a_directory_removes_a_person_with_many_keys(gateway: Gateway) -> None:
    """ID16, ID12: with as many keys as one transaction changes none is left to a job; more end, too."""
    provider = await provider_of(gateway)
    for role, count in (("admin", _AT_ONCE), ("owner", _AT_ONCE + 1)):
        email = f"{role}@acme.example"
        keys = [await make(gateway, (await sign_in(gateway, role)).headers) for _ in range(count)]
        await change_member(gateway, (await members(gateway))["member"], roles=["owner"])  # the tenant keeps one
        made = await provider.send("POST", "/Users", {"schemas": [SCIM_USER], "userName": email, "externalId": role})
        assert (await provider.send("DELETE", f"/Users/{made.json()['id']}")).status_code == 204
        assert await _seen(gateway, keys) == {_REVOKED: count}
        assert _unmarked(gateway) == count - _AT_ONCE
    await _run_jobs(gateway)
    assert _unmarked(gateway) == 0


async def test_rights_are_taken_from_a_person_with_more_keys_than_are_handed_over(gateway: Gateway) -> None:
    """ID16: the tenant's choice is not followed for too many keys, which then end with their owner's rights."""
    ids, owner = await members(gateway), gateway.acme.key("owner")
    chosen = {"member_keys": "hand_over", "member_keys_to": ids["owner"]}
    assert (await gateway.client.patch("/v1/tenant", json=chosen, headers=owner)).status_code == 200
    keys = await _keys(gateway, (await sign_in(gateway, "admin")).headers, _AT_ONCE + 1)
    path = f"{MEMBERS}/{ids['admin']}/api-keys"
    refused = await gateway.client.post(f"{path}/hand-over", json={"to": ids["owner"]}, headers=owner)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    await change_member(gateway, ids["admin"], disabled=True)
    assert await _seen(gateway, keys) == {_REVOKED: 8}
    await change_member(gateway, ids["admin"], disabled=False)
    assert await _seen(gateway, keys) == {"": 8}
    revoked = await gateway.client.post(f"{path}/revoke", headers=owner)
    assert (revoked.status_code, revoked.json()) == (200, {"keys": 8})
    assert await _seen(gateway, keys) == {_REVOKED: 8}
    assert _revocations(gateway) == {"api_key": 8}


async def test_a_cascade_goes_on_where_it_failed(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """ID16, OP2: all or none up to the bound; beyond, the key itself ends first, and the same again ends the rest."""
    owner = gateway.acme.key("owner")
    root = await make(gateway, owner, role="admin")
    keys = [root, *await _keys(gateway, root.headers, 4)]
    serialise, calls = directory.serialise, 0

    async def fail_late(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Unavailable(detail="as if PostgreSQL had gone")
        await serialise(*arguments)

    path = f"{KEYS}/{root.id}/revoke?descendants=true"
    with monkeypatch.context() as patched:
        patched.setattr(directory, "serialise", fail_late)
        assert (await gateway.client.post(path, headers=owner)).status_code == 503
    assert await _seen(gateway, keys) == {_REVOKED: 2 * _AT_ONCE, "": 9 - 2 * _AT_ONCE}
    assert (await create(gateway, root.headers)).json()["code"] == _REVOKED
    assert (await gateway.client.post(path, headers=owner)).status_code == 204
    assert await _seen(gateway, keys) == {_REVOKED: 9}
    assert _revocations(gateway) == {"api_key": 9}
