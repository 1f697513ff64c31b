"""``POST /operator/v1/leaked-keys``: who is believed, what happens to a key that was found, and who is notified."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from tenants.audit.origin import SYSTEM
from tenants.directory import repository as directory
from tenants.errors import Unavailable
from tenants.identifiers import read
from tenants.leaked_keys import ending
from tenants.leaked_keys.ending import GRACE
from tenants.leaked_keys.schemas import MOST_MATCHES
from tenants.leaked_keys.signature import MOST_BYTES
from tenants.operator_keys.schemas import CreateOperatorKey
from tenants.principal import OperatorRole
from tests.fixtures.events import events_of
from tests.fixtures.gateways import Gateway
from tests.fixtures.invitations import MailedFactory, MailedGateway, someone
from tests.fixtures.leaked_keys import LEAKED_KEYS, PLACE, Reporter, match, signed

pytestmark = pytest.mark.anyio

_GITHUB, _FORGER = Reporter(), Reporter()


@pytest.fixture
async def mailed(mailed_gateways: MailedFactory) -> AsyncIterator[MailedGateway]:
    """Trusts the reports of GitHub."""
    async with mailed_gateways(leak_keys=_GITHUB.public) as opened:
        yield opened


@pytest.fixture
def gateway(mailed: MailedGateway) -> Gateway:
    """Its gateway."""
    return mailed.gateway


async def _create(gateway: Gateway, by: str | None = None, **fields: Any) -> dict[str, Any]:
    """A new key, made with this secret, by default with the owner's."""
    headers = gateway.acme.key("owner") if by is None else {"X-API-Key": by}
    answer = await gateway.client.post(
        "/v1/api-keys", json={"name": "nightly import", "role": "admin"} | fields, headers=headers
    )
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def _code(gateway: Gateway, secret: str) -> str:
    """Of a request with this key; empty when it is admitted."""
    return str((await gateway.client.get("/v1/me", headers={"X-API-Key": secret})).json().get("code", ""))


def _verdict(token: str, label: str = "true_positive") -> dict[str, str]:
    return {"token_hash": sha256(token.encode()).hexdigest(), "token_type": "tenantry_api_key", "label": label}


def _events(gateway: Gateway, *types: str) -> list[dict[str, Any]]:
    return [each for each in events_of(gateway.urls, gateway.acme.ref) if each["type"] in types]


def _addresses(mailed: MailedGateway) -> dict[str, str]:
    """New addresses of acme's people, by role, of this test alone."""
    made = {role: someone() for role in ("owner", "admin", "member")}
    for role, email in made.items():
        mailed.execute("UPDATE tenantry.users SET email = %s WHERE email = %s", email, f"{role}@acme.example")
    return made


async def test_a_key_that_was_found_is_revoked_with_what_it_made_before_the_answer(mailed: MailedGateway) -> None:
    """ID14, ID16, AU1: the answer is in GitHub's form; owners and admins learn by mail what was found where."""
    gateway, people = mailed.gateway, _addresses(mailed)
    leaked, other = await _create(gateway), await _create(gateway)
    child = await _create(gateway, leaked["secret"])
    answer = await _GITHUB.report(gateway.client, leaked["secret"], "tn_live_nothing", leaked["secret"])
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    first, unknown, again = answer.json()
    assert first == again == _verdict(leaked["secret"])
    assert unknown == _verdict("tn_live_nothing", "false_positive")
    assert [await _code(gateway, each["secret"]) for each in (leaked, child, other)] == ["credential_revoked"] * 2 + [
        ""
    ]
    [event] = _events(gateway, "api_keys.leaked")
    assert (event["object_id"], event["actor_kind"], event["source"]) == (
        read("key", leaked["id"]),
        "system",
        "127.0.0.1",
    )
    assert event["after"] == {
        **{name: leaked[name] for name in ("name", "prefix", "last4")},
        "found_in": "content",
        "url": PLACE,
        "response": "revoke",
    }
    revoked = {each["object_id"] for each in _events(gateway, "api_keys.revoked")}
    assert revoked == {read("key", leaked["id"]), read("key", child["id"])}
    await mailed.deliver()
    for role in ("owner", "admin"):
        [message] = await mailed.messages(people[role])
        for part in (message["text"], message["html"]):
            assert f"nightly import ({leaked['prefix']}…{leaked['last4']}), found in content: {PLACE}" in part
            assert "They were revoked" in part
            assert leaked["secret"] not in part
    assert await mailed.messages(people["member"]) == []
    assert leaked["secret"] not in answer.text + str(events_of(gateway.urls, gateway.acme.ref))


async def test_a_report_that_is_repeated_or_sent_by_many_at_once_changes_nothing_more(mailed: MailedGateway) -> None:
    """ID14: its signature has no time, so an old one can be sent again by anyone who has seen it."""
    gateway, people = mailed.gateway, _addresses(mailed)
    keys = [(await _create(gateway))["secret"] for _ in range(2)]
    raw = json.dumps([match(each) for each in keys]).encode()
    backwards = json.dumps([match(each) for each in reversed(keys)]).encode()
    answers = await asyncio.gather(*(_GITHUB.send(gateway.client, each) for each in (raw, backwards) * 4))
    assert [each.status_code for each in answers] == [200] * 8
    answers.append(await _GITHUB.send(gateway.client, raw))
    assert {each["label"] for answer in answers for each in answer.json()} == {"true_positive"}
    assert len(_events(gateway, "api_keys.leaked")) == len(_events(gateway, "api_keys.revoked")) == 2
    await mailed.deliver()
    [message] = await mailed.messages(people["owner"])
    assert message["text"].count("nightly import") == 2


async def test_many_keys_that_were_made_with_it_end_in_several_transactions(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ID16: nobody keeps a leaked key by making too many others; a report that was cut short ends the rest."""
    monkeypatch.setattr(ending, "MOST_AT_ONCE", 2)
    leaked = await _create(gateway)
    made = [await _create(gateway, leaked["secret"]) for _ in range(4)]
    made += [await _create(gateway, each["secret"], role="member") for each in made]
    secrets = [each["secret"] for each in (leaked, *made)]
    find, calls = directory.find, 0

    async def fail_late(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Unavailable(detail="as if PostgreSQL had gone")
        return await find(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(directory, "find", fail_late)
        assert (await _GITHUB.report(gateway.client, leaked["secret"])).status_code == 503
    await gateway.catch_up()
    assert Counter([await _code(gateway, each) for each in secrets]) == {"credential_revoked": 5, "": 4}
    assert (await _GITHUB.report(gateway.client, leaked["secret"])).status_code == 200
    assert {await _code(gateway, each) for each in secrets} == {"credential_revoked"}
    assert len(_events(gateway, "api_keys.revoked")) == 9
    assert len(_events(gateway, "api_keys.leaked")) == 1


async def test_the_key_that_others_have_put_in_its_place_stays(gateway: Gateway) -> None:
    """ID16: an admin who has rotated the leaked key keeps the new one; a thief who has does not."""
    leaked, stolen = await _create(gateway), await _create(gateway)
    overlap = {"overlap_seconds": 3600}
    successors = []
    for key, by in ((leaked, gateway.acme.keys["owner"]), (stolen, stolen["secret"])):
        path = f"/v1/api-keys/{key['id']}/rotate"
        answer = await gateway.client.post(path, json=overlap, headers={"X-API-Key": by})
        assert answer.status_code == 201, answer.text
        successors.append(answer.json()["secret"])
    await _GITHUB.report(gateway.client, leaked["secret"], stolen["secret"])
    codes = [await _code(gateway, each) for each in (leaked["secret"], stolen["secret"], *successors)]
    assert codes == ["credential_revoked", "credential_revoked", "", "credential_revoked"]


async def test_a_tenant_can_choose_a_grace_period_instead(mailed: MailedGateway) -> None:
    """ID16: what the key made ends with it; a repetition changes no end that the tenant has set since."""
    gateway, people = mailed.gateway, _addresses(mailed)
    changed = await gateway.client.patch("/v1/tenant", json={"leaked_keys": "grace"}, headers=gateway.acme.key("owner"))
    assert changed.json()["leaked_keys"] == "grace"
    leaked = await _create(gateway)
    child = await _create(gateway, leaked["secret"])
    for _ in range(2):
        assert (await _GITHUB.report(gateway.client, leaked["secret"])).json() == [_verdict(leaked["secret"])]
    assert [await _code(gateway, each["secret"]) for each in (leaked, child)] == ["", ""]
    soon = await _create(gateway, expires_at=(datetime.fromisoformat(leaked["created_at"]) + GRACE / 2).isoformat())
    await _GITHUB.report(gateway.client, soon["secret"])
    for key in (leaked, child):
        ends = await _end_of(gateway, key)
        assert timedelta(0) <= ends - (datetime.fromisoformat(leaked["created_at"]) + GRACE) < timedelta(minutes=1)
    assert await _end_of(gateway, soon) == datetime.fromisoformat(soon["expires_at"])
    assert [each["after"]["response"] for each in _events(gateway, "api_keys.leaked")] == ["grace"] * 2
    await mailed.deliver()
    assert ["expire in 24 hours" in each["text"] for each in await mailed.messages(people["owner"])] == [True] * 2
    mailed.execute("UPDATE tenantry.api_keys SET expires_at = NULL WHERE id = %s", read("key", leaked["id"]))
    await _GITHUB.report(gateway.client, leaked["secret"])
    assert mailed.execute("SELECT expires_at FROM tenantry.api_keys WHERE id = %s", read("key", leaked["id"])) == [
        (None,)
    ]


async def _end_of(gateway: Gateway, key: dict[str, Any]) -> datetime:
    answer = await gateway.client.get(f"/v1/api-keys/{key['id']}", headers=gateway.acme.key("owner"))
    return datetime.fromisoformat(answer.json()["expires_at"])


async def test_a_key_that_has_ended_is_a_true_positive_and_nothing_more(mailed: MailedGateway) -> None:
    """ID14: revoked or expired before it was found."""
    gateway, owner = mailed.gateway, mailed.gateway.acme.key("owner")
    revoked, expired = await _create(gateway), await _create(gateway, expires_at="2030-01-01T00:00:00Z")
    await gateway.client.post(f"/v1/api-keys/{revoked['id']}/revoke", headers=owner)
    mailed.execute("UPDATE tenantry.api_keys SET expires_at = now() WHERE id = %s", read("key", expired["id"]))
    answer = await _GITHUB.report(gateway.client, revoked["secret"], expired["secret"])
    assert answer.json() == [_verdict(revoked["secret"]), _verdict(expired["secret"])]
    assert _events(gateway, "api_keys.leaked") == []
    assert mailed.unsent() == []


async def test_a_report_is_answered_when_another_worker_refuses_the_key(mailed_gateways: MailedFactory) -> None:
    """ID14: a key of an operator, too, which ends at once; also the one that the report is sent with."""
    async with mailed_gateways() as mailed, mailed_gateways() as other:
        gateway, leaked = mailed.gateway, (await _create(mailed.gateway))["secret"]
        operator = gateway.operator["X-API-Key"]
        assert await _code(other.gateway, leaked) == ""
        assert (await other.gateway.client.get("/operator/v1/plans", headers=gateway.operator)).status_code == 200
        raw = json.dumps([match(leaked), match(operator)])
        answer = await gateway.client.post(LEAKED_KEYS, content=raw, headers=gateway.operator)
        assert answer.json() == [_verdict(leaked), _verdict(operator)]
        assert await _code(other.gateway, leaked) == "credential_revoked"
        refused = await other.gateway.client.get("/operator/v1/plans", headers=gateway.operator)
        assert refused.json()["code"] == "credential_revoked"


async def test_operators_of_the_role_admin_can_report_without_a_signature(gateway: Gateway) -> None:
    """AZ1: nobody else with a credential can, whatever they sign; the tenant sees which operator it was."""
    leaked, raw = await _create(gateway), b""
    raw = json.dumps([match(leaked["secret"], None)]).encode()
    async with gateway.services.database.control() as session:
        support = CreateOperatorKey(name="support", role=OperatorRole.SUPPORT)
        supporter = (await gateway.services.features.operator_keys.create(session, support, origin=SYSTEM)).secret
    for headers in ({"X-API-Key": supporter}, gateway.acme.key("owner")):
        refused = await gateway.client.post(LEAKED_KEYS, content=raw, headers=headers | signed(raw, _GITHUB.private))
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert await _code(gateway, leaked["secret"]) == ""
    answer = await gateway.client.post(LEAKED_KEYS, content=raw, headers=gateway.operator)
    assert answer.json() == [_verdict(leaked["secret"])]
    [event] = _events(gateway, "api_keys.leaked")
    assert (event["actor_kind"], event["after"]["url"]) == ("operator", None)


def _without(fields: dict[str, str], name: str) -> dict[str, str]:
    return {each: value for each, value in fields.items() if each != name}


async def test_an_unsigned_or_forged_report_ends_no_key(gateway: Gateway) -> None:
    """SI1's rule for another sender: the signature is checked before the body is parsed."""
    leaked = await _create(gateway)
    raw = json.dumps([match(leaked["secret"])]).encode()
    good = signed(raw, _GITHUB.private)
    for fields in (
        {},
        _without(good, "Github-Public-Key-Signature"),
        _without(good, "Github-Public-Key-Identifier"),
        signed(raw, _FORGER.private),
        signed(raw, _GITHUB.private, "another"),
        signed(raw + b" ", _GITHUB.private),
    ):
        for content in (raw, b"[", b"\xff"):
            answer = await gateway.client.post(LEAKED_KEYS, content=content, headers=fields)
            assert (answer.status_code, answer.json()["code"]) == (400, "signature_invalid")
            assert leaked["secret"] not in answer.text
    assert await _code(gateway, leaked["secret"]) == ""
    old_names = {name.upper(): value for name, value in good.items()}
    assert (await gateway.client.post(LEAKED_KEYS, content=raw, headers=old_names)).status_code == 200


async def test_a_signed_report_is_bounded_and_read_strictly(gateway: Gateway) -> None:
    """DA1, DA2, LD1: at each bound and one beyond; members that the format gains are ignored."""

    async def answer(raw: bytes) -> tuple[int, str]:
        response = await _GITHUB.send(gateway.client, raw)
        return response.status_code, response.json()["code"] if response.is_error else ""

    one = json.dumps([match("x") | {"commit": "1234"}]).encode()
    assert await answer(one + b" " * (MOST_BYTES - len(one))) == (200, "")
    assert await answer(one + b" " * (MOST_BYTES - len(one) + 1)) == (413, "payload_too_large")
    assert await answer(json.dumps([match("x")] * MOST_MATCHES).encode()) == (200, "")
    assert await answer(json.dumps([match("x")] * (MOST_MATCHES + 1)).encode()) == (422, "validation_failed")
    assert await answer(b"[]") == (200, "")
    for raw in (b"", b"[", b'[{"token":"\xff"}]', b'["\\ud800"]', b'[{"token":NaN}]'):
        assert await answer(raw) == (400, "malformed_request"), raw
    wrong: list[Any] = [{}, None, "x", [None], [{}], [{"token": 5, "type": "x"}], [match("x") | {"type": "x" * 101}]]
    for found in wrong:
        assert await answer(json.dumps(found).encode()) == (422, "validation_failed"), found


async def test_reports_are_limited_by_source(gateway: Gateway) -> None:
    """TH11: before anything is verified."""
    answers = [await gateway.client.post(LEAKED_KEYS) for _ in range(302)]
    statuses = Counter(each.status_code for each in answers)
    assert statuses.keys() == {400, 429}
    assert statuses[400] <= 300
    assert all(int(each.headers["Retry-After"]) > 0 for each in answers if each.status_code == 429)


async def test_a_deployment_that_trusts_no_keys_takes_reports_of_operators_alone(
    mailed_gateways: MailedFactory,
) -> None:
    """AZ1: off until it is set up."""
    async with mailed_gateways() as mailed:
        gateway = mailed.gateway
        assert (await _GITHUB.report(gateway.client, "x")).status_code == 404
        answer = await gateway.client.post(LEAKED_KEYS, content=b"[]", headers=gateway.operator)
        assert (answer.status_code, answer.json()) == (200, [])


async def test_a_tenant_that_cannot_be_written_delays_no_other(mailed: MailedGateway) -> None:
    """ID14: 503, for the sender to repeat the report, which then ends the rest."""
    gateway = mailed.gateway
    both = [(await _create(gateway))["secret"], gateway.globex.keys["member"]]
    log = f'"{gateway.globex.ref.schema}".tenantry_events'
    mailed.execute(f"ALTER TABLE {log} RENAME TO elsewhere")
    answer = await _GITHUB.report(gateway.client, *both)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    await gateway.catch_up()
    assert [await _code(gateway, each) for each in both] == ["credential_revoked", ""]
    mailed.execute(f'ALTER TABLE "{gateway.globex.ref.schema}".elsewhere RENAME TO tenantry_events')
    assert (await _GITHUB.report(gateway.client, *both)).json() == [_verdict(each) for each in both]
    assert await _code(gateway, both[1]) == "credential_revoked"
