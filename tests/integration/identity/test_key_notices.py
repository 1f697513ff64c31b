"""Notices of keys that expire soon or are not used: who is notified when, and that each notice is given once."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tenants.api_keys.models import ApiKey
from tenants.errors import Unavailable
from tenants.identifiers import read, show
from tenants.jobs.app import JobSettings, make_job_app
from tenants.mail.port import Content
from tenants.mail.service import Mail
from tenants.notices.jobs import NOTICE_TASK, add_notice_jobs
from tests.fixtures.events import events_of
from tests.fixtures.gateways import Gateway
from tests.fixtures.invitations import MailedGateway, someone
from tests.fixtures.people import sign_in

pytestmark = pytest.mark.anyio

_NOW = datetime.now(UTC)
_DAY, _SECOND = timedelta(days=1), timedelta(seconds=1)
_ROLES = ("owner", "admin", "member")


async def _create(gateway: Gateway, by: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    body = {"name": "nightly import", "role": "member"} | fields
    answer = await gateway.client.post("/v1/api-keys", json=body, headers=by or gateway.acme.key("owner"))
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def _expiring(gateway: Gateway, days: float, by: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    """A key that expires so many days after ``_NOW``."""
    return await _create(gateway, by, expires_at=(_NOW + days * _DAY).isoformat(), **fields)


async def _run(gateway: Gateway, days: float) -> int:
    """The job of that day."""
    return await gateway.services.features.notices.run(_NOW + days * _DAY)


async def _run_as_job(gateway: Gateway, days: float) -> None:
    """As a worker does, for the time of the schedule."""
    app = make_job_app(gateway.services.settings.database, JobSettings(polling=0.05))
    add_notice_jobs(app, gateway.services.features.notices)
    async with app.open_async():
        await app.configure_task(NOTICE_TASK).defer_async(timestamp=int((_NOW + days * _DAY).timestamp()))
        await app.run_worker_async(wait=False)


def _noticed(gateway: Gateway, action: str = "api_keys.expiry_noticed") -> Counter[str]:
    """How many notices of each key there were; of the keys that tests make."""
    found = [each for each in events_of(gateway.urls, gateway.acme.ref) if each["type"] == action]
    assert {(each["actor_kind"], each["category"]) for each in found} <= {("system", "management")}
    return Counter(show("key", each["object_id"]) for each in found if each["after"]["name"] == "nightly import")


def _own_addresses(mailed: MailedGateway) -> dict[str, str]:
    """New addresses of acme's people, by role, of this test alone."""
    made = {role: someone() for role in _ROLES}
    for role, email in made.items():
        mailed.execute("UPDATE tenantry.users SET email = %s WHERE email = %s", email, f"{role}@acme.example")
    return made


async def _received(mailed: MailedGateway, people: dict[str, str]) -> dict[str, list[str]]:
    """The texts of all messages, by role, the newest first."""
    await mailed.deliver()
    return {role: [each["text"] for each in await mailed.messages(email)] for role, email in people.items()}


async def test_a_key_that_expires_is_noticed_a_week_and_a_day_before_once_each(gateway: Gateway) -> None:
    """ID16: at each bound and a second before; also without mail, as an event."""
    key = await _expiring(gateway, 20)
    for day, notices in ((12, 0), (13 - _SECOND / _DAY, 0), (13, 1), (13, 1), (15, 1), (19 - _SECOND / _DAY, 1)):
        await _run(gateway, day)
        assert _noticed(gateway)[key["id"]] == notices, day
    for day, notices in ((19, 2), (19.5, 2), (20, 2), (25, 2)):
        await _run(gateway, day)
        assert _noticed(gateway)[key["id"]] == notices, day
    [event, _] = [each for each in events_of(gateway.urls, gateway.acme.ref) if each["type"].endswith("noticed")]
    assert event["after"].keys() == {"name", "prefix", "last4", "expires_at"}


async def test_a_notice_is_given_of_keys_alone_whose_end_was_set_earlier_and_that_can_be_used(
    gateway: Gateway,
) -> None:
    """ID16: nobody is reminded of a key of an hour, or of one that has ended; the last day alone is noticed late."""
    made = {str(days): await _expiring(gateway, days) for days in (0.9, 1.5, 5, 8)}
    made |= {name: await _expiring(gateway, 8) for name in ("disabled", "revoked", "rotated")}
    owner = gateway.acme.key("owner")
    await gateway.client.post(f"/v1/api-keys/{made['revoked']['id']}/revoke", headers=owner)
    overlap = {"overlap_seconds": 3 * 86_400}
    rotated = await gateway.client.post(f"/v1/api-keys/{made['rotated']['id']}/rotate", json=overlap, headers=owner)
    async with gateway.services.database.control() as session:
        await _disable(session, made["disabled"]["id"])
    for day in (0.5, 1, 2.5, 4.5, 7.9):
        await _run(gateway, day)
    names = {each["id"]: name for name, each in made.items()} | {rotated.json()["id"]: "successor"}
    found = {names[key]: count for key, count in _noticed(gateway).items()}
    assert found == {"1.5": 1, "5": 1, "8": 2, "rotated": 1, "successor": 2}


async def _disable(session: Any, key: str) -> None:
    row = await session.get_one(ApiKey, read("key", key))
    row.disabled_at = _NOW


async def test_a_key_with_a_new_end_is_noticed_of_that_end(mailed: MailedGateway) -> None:
    """ID16: an end that was moved is news."""
    key = await _expiring(mailed.gateway, 20)
    await _run_as_job(mailed.gateway, 19.5)
    mailed.execute(
        "UPDATE tenantry.api_keys SET expires_at = %s WHERE id = %s", _NOW + 40 * _DAY, read("key", key["id"])
    )
    for day, notices in ((20, 1), (34, 2), (39.5, 3)):
        await _run(mailed.gateway, day)
        assert _noticed(mailed.gateway)[key["id"]] == notices, day


async def test_a_key_is_noticed_for_each_ninety_days_without_use(mailed: MailedGateway) -> None:
    """ID16: from its creation, or its last use; at the bound and a second before."""
    gateway, unused = mailed.gateway, "api_keys.unused_noticed"
    never, used = await _create(gateway), await _create(gateway)
    for key in (never, used):
        mailed.execute("UPDATE tenantry.api_keys SET created_at = %s WHERE id = %s", _NOW, read("key", key["id"]))
    mailed.execute(
        "INSERT INTO tenantry.api_key_uses (key_id, requests, last_used_at) VALUES (%s, 1, %s)",
        *(read("key", used["id"]), _NOW + 30 * _DAY),
    )
    for day, of_never, of_used in (
        *((90 - _SECOND / _DAY, 0, 0), (90, 1, 0), (91, 1, 0), (120 - _SECOND / _DAY, 1, 0), (120, 1, 1)),
        *((180 - _SECOND / _DAY, 1, 1), (180, 2, 1), (209, 2, 1), (210, 2, 2)),
    ):
        await _run(gateway, day)
        found = _noticed(gateway, unused)
        assert (found[never["id"]], found[used["id"]]) == (of_never, of_used), day
    mailed.execute("UPDATE tenantry.api_key_uses SET last_used_at = %s", _NOW + 250 * _DAY)
    for day, of_used in ((301, 2), (339, 2), (340, 3)):
        await _run(gateway, day)
        assert _noticed(gateway, unused)[used["id"]] == of_used, day


async def test_the_owner_of_a_key_is_notified_and_else_the_admins_in_one_message(mailed: MailedGateway) -> None:
    """ID16: a person who has left or is disabled is not written to; each person gets one message for a tenant."""
    gateway = mailed.gateway
    by = {role: (await sign_in(gateway, role)).headers for role in ("owner", "admin")}
    people = _own_addresses(mailed)
    await _expiring(gateway, 10, by["admin"], name="of the admin")
    await _expiring(gateway, 10.5, by["admin"], name="another of the admin")
    await _expiring(gateway, 10, name="of the tenant's own key")
    mailed.execute("UPDATE tenantry.api_keys SET created_at = %s WHERE name LIKE 'the %%'", _NOW - 86 * _DAY)
    assert await _run(gateway, 4) == 3 + 4 + 4  # of both tenants, four keys each are not used
    texts = await _received(mailed, people)
    assert {role: len(each) for role, each in texts.items()} == {"owner": 1, "admin": 1, "member": 0}
    for role, own in (("admin", True), ("owner", False)):
        [text] = texts[role]
        assert ("- of the admin (tn_live_" in text) is ("- another of the admin (" in text) is own
        assert text.count("- of the tenant's own key (") == 1
        assert text.count("never used since it was created") == 4
        assert f"expires {_NOW + 10 * _DAY:%Y-%m-%d %H:%M} UTC" in text
    mailed.execute(
        "UPDATE tenantry.memberships SET disabled_at = now() WHERE user_id IN (SELECT id FROM tenantry.users"
        " WHERE email = %s)",
        people["admin"],
    )
    await _run(gateway, 9.5)
    texts = await _received(mailed, people)
    assert {role: len(each) for role, each in texts.items()} == {"owner": 2, "admin": 1, "member": 0}
    assert "- of the admin (tn_live_" in texts["owner"][0]


async def test_a_tenant_can_turn_notices_off_and_a_suspended_one_gets_none(gateway: Gateway) -> None:
    """ID16: what was due meanwhile is noticed when they are on again."""
    key, owner = await _expiring(gateway, 10), gateway.acme.key("owner")
    off = await gateway.client.patch("/v1/tenant", json={"key_notices": False}, headers=owner)
    assert off.json()["key_notices"] is False
    assert await _run(gateway, 5) == 0
    suspend = f"/operator/v1/tenants/{show('tnt', gateway.acme.ref.id)}"
    await gateway.client.patch("/v1/tenant", json={"key_notices": True}, headers=owner)
    await gateway.client.post(f"{suspend}/suspend", headers=gateway.operator)
    assert await _run(gateway, 5) == 0
    await gateway.client.post(f"{suspend}/resume", headers=gateway.operator)
    assert await _run(gateway, 5) == 1
    assert _noticed(gateway) == {key["id"]: 1}


async def test_many_keys_are_noticed_in_batches_and_one_message(mailed: MailedGateway) -> None:
    """LD1: a transaction has a bounded number of keys; the message says that there are more."""
    gateway, people = mailed.gateway, _own_addresses(mailed)
    mailed.execute(
        "INSERT INTO tenantry.api_keys (id, tenant_id, name, role, prefix, last4, digest, pepper_version, expires_at)"
        " SELECT gen_random_uuid(), %s, 'nightly import', 'member', 'tn_live_abcd', 'wxyz', sha256(n::text::bytea), 1,"
        " %s FROM generate_series(1, 250) n",
        *(gateway.acme.ref.id, _NOW + 10 * _DAY),
    )
    assert await _run(gateway, 5) == 250
    assert set(_noticed(gateway).values()) == {1}
    [text] = (await _received(mailed, people))["owner"]
    assert text.count("- nightly import (tn_live_abcd…wxyz)") == 100
    assert "There are more" in text


async def test_a_run_that_fails_midway_or_runs_twice_at_once_neither_repeats_nor_loses_a_notice(
    mailed: MailedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SI5: the mark, the event and the message are one transaction; a failing tenant stops no other."""
    gateway, people, enqueue = mailed.gateway, _own_addresses(mailed), Mail.enqueue
    key = await _expiring(gateway, 10)
    await _expiring_of_globex(mailed)

    async def fail(self: Mail, session: Any, recipient: str, content: Content) -> Any:
        if recipient == people["admin"]:
            raise Unavailable(detail="as if PostgreSQL had gone")
        return await enqueue(self, session, recipient, content)

    with monkeypatch.context() as patched:
        patched.setattr(Mail, "enqueue", fail)
        with pytest.raises(Unavailable, match="notices of 1 tenants failed"):
            await _run(gateway, 5)
    assert _noticed(gateway) == {}
    assert len(mailed.unsent()) == 2  # to the owner and the admin of the other tenant
    runs = await asyncio.gather(*(_run(gateway, 5) for _ in range(3)))
    assert sum(runs) == 1
    assert _noticed(gateway) == {key["id"]: 1}
    texts = await _received(mailed, people)
    assert {role: len(each) for role, each in texts.items()} == {"owner": 1, "admin": 1, "member": 0}


async def _expiring_of_globex(mailed: MailedGateway) -> None:
    gateway = mailed.gateway
    await _expiring(gateway, 10, gateway.globex.key("owner"))
