"""Authenticator apps and recovery codes: enrolling, signing in with them, changing them."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from gateway.development.mail.mailbox import Mailbox
from gateway.development.processes import LOOPBACK
from gateway.features import add_jobs
from tenants.jobs.app import JobSettings, make_job_app
from tenants.mfa import attempts
from tenants.mfa.jobs import forget_expired
from tenants.secrets.tokens import SecretKind, generate
from tenants.sign_in_limits.limits import Allowance
from tests.fixtures.authenticator import Authenticator
from tests.fixtures.events import events_of
from tests.fixtures.gateways import PASSWORD, Gateway, GatewayFactory
from tests.fixtures.mail import SENDER, smtp_server
from tests.fixtures.mfa import challenged, code_of, enrol, forget_codes, log_in, post, register
from tests.fixtures.people import SignedIn, execute, misspelt, sign_in

pytestmark = pytest.mark.anyio

_MFA, _TOTP = "/v1/auth/mfa", "/v1/auth/mfa/totp"


async def _delete(session: SignedIn, path: str, **body: str) -> int:
    answer = await session.gateway.client.request("DELETE", path, json=body, headers=session.headers)
    return answer.status_code


async def test_an_app_is_enrolled_and_asked_for_from_then_on(gateway: Gateway) -> None:
    """ID13: the secret is shown once and stored sealed; the session says how it was opened."""
    nothing = {"totp": False, "passkeys": 0, "recovery_codes": 0, "required": False}
    session = await sign_in(gateway)
    assert (await session.get(_MFA)).json() == nothing
    begun = await session.post(_TOTP, password=PASSWORD)
    assert begun.headers["cache-control"] == "no-store"
    assert begun.json()["qr_svg"].startswith("<svg")
    secret = begun.json()["secret"]
    assert f"secret={secret}&issuer=gateway.test" in begun.json()["uri"]
    assert "access_token" in (await log_in(gateway)).json(), "not before the first code"
    confirmed = await session.post(f"{_TOTP}/confirm", code=code_of(secret))
    assert len(confirmed.json()["recovery_codes"]) == 10
    assert (await session.get(_MFA)).json() == nothing | {"totp": True, "recovery_codes": 10}
    [(sealed,)] = execute(gateway, "SELECT secret_sealed FROM tenantry.totp_factors")
    assert secret.encode() not in bytes(sealed)

    challenge = await challenged(gateway)
    assert (challenge["methods"], challenge["enroll"]) == (["totp", "recovery_code"], False)
    assert challenge["expires_in"] == 300
    forget_codes(gateway)
    answer = await post(gateway, "mfa/verify", mfa_token=challenge["mfa_token"], code=code_of(secret))
    (opened, kept) = (SignedIn.of(gateway, answer), session)
    shown = (await opened.get("/v1/auth/sessions")).json()["data"]
    assert [each["methods"] for each in shown] == [["pwd", "otp"], ["pwd", "otp"]]
    assert (await kept.get("/v1/me")).status_code == 200


async def test_a_wrong_password_reveals_no_second_factor(gateway: Gateway) -> None:
    """ID10, ID13: byte for byte as for a person without one."""
    await enrol(gateway)
    answers = [await log_in(gateway, role, password="another long passphrase") for role in ("member", "viewer")]
    assert {each.status_code for each in answers} == {401}
    assert len({each.content.replace(each.headers["x-request-id"].encode(), b"") for each in answers}) == 1


@pytest.fixture
def _many_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """More at once than the allowance of a person."""
    monkeypatch.setattr(attempts, "ALLOWANCE", Allowance(attempts=100, interval=timedelta(seconds=1)))


@pytest.mark.usefixtures("_many_attempts")
async def test_a_code_is_accepted_once_and_no_older_one(gateway: Gateway) -> None:
    """ID13: replayed, by a second sign-in and by twenty at once; of an older step; the code that enrolled the app."""
    person = await enrol(gateway)
    tokens = [(await challenged(gateway))["mfa_token"] for _ in range(4)]
    used = person.enrolled_by  # a step may end at any moment
    assert (await post(gateway, "mfa/verify", mfa_token=tokens[0], code=used)).status_code == 401
    forget_codes(gateway)
    sent = [post(gateway, "mfa/verify", mfa_token=tokens[each % 3], code=used) for each in range(20)]
    statuses = Counter(each.status_code for each in await asyncio.gather(*sent))
    assert statuses == {200: 1, 401: 19}
    older = code_of(person.secret, -1)
    assert (await post(gateway, "mfa/verify", mfa_token=tokens[3], code=older)).status_code == 401


@pytest.mark.usefixtures("_many_attempts")
async def test_of_twenty_uses_of_one_recovery_code_one_wins(gateway: Gateway) -> None:
    """ID13: at once, by sign-ins of their own. The code is gone afterwards, the others stay."""
    person = await enrol(gateway)
    code, other = person.recovery_codes[:2]
    tokens = [(await challenged(gateway))["mfa_token"] for _ in range(20)]
    answers = await asyncio.gather(*(post(gateway, "mfa/verify", mfa_token=token, code=code) for token in tokens))
    assert Counter(each.status_code for each in answers) == {200: 1, 401: 19}
    (won,) = [each for each in answers if each.status_code == 200]
    session = SignedIn.of(gateway, won)
    assert (await session.get(_MFA)).json()["recovery_codes"] == 9
    spoken = f" {other.upper().replace('-', ' ')} "
    token = (await challenged(gateway))["mfa_token"]
    answer = await post(gateway, "mfa/verify", mfa_token=token, code=spoken)
    methods = (await SignedIn.of(gateway, answer).get("/v1/auth/sessions")).json()["data"][0]["methods"]
    assert methods == ["pwd", "rcv"]


async def test_the_token_of_a_sign_in_is_good_for_one_session_of_its_person(gateway: Gateway) -> None:
    """ID13: used, expired, foreign, guessed and of another kind; good after a wrong code."""
    person = await enrol(gateway)
    token = (await challenged(gateway))["mfa_token"]
    assert (await post(gateway, "mfa/verify", mfa_token=token, code="000000")).status_code == 401
    assert (await post(gateway, "mfa/verify", mfa_token=token, code=person.code)).status_code == 200
    assert (await post(gateway, "mfa/verify", mfa_token=token, code=person.code)).status_code == 401, "used"
    other = await enrol(gateway, "viewer")
    foreign = (await challenged(gateway, "viewer"))["mfa_token"]
    assert (await post(gateway, "mfa/verify", mfa_token=foreign, code=person.code)).status_code == 401
    for guessed in (generate(SecretKind.MFA), misspelt(token), person.session.refresh_token, "x"):
        answer = await post(gateway, "mfa/verify", mfa_token=guessed, code=person.code)
        assert (answer.status_code, answer.json()["code"]) == (401, "credential_invalid")
    execute(gateway, "UPDATE tenantry.mfa_challenges SET expires_at = now()")
    assert (await post(gateway, "mfa/verify", mfa_token=foreign, code=other.code)).status_code == 401, "expired"
    me = await gateway.client.get("/v1/me", headers={"Authorization": f"Bearer {foreign}"})
    assert me.status_code == 401, "it is no credential"
    await forget_expired(gateway.services.database)
    assert execute(gateway, "SELECT count(*) FROM tenantry.mfa_challenges") == [(0,)]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE tenantry.users SET password_hash = 'another' WHERE email = 'member@acme.example'",
        "UPDATE tenantry.users SET disabled_at = now() WHERE email = 'member@acme.example'",
        "DELETE FROM tenantry.memberships",
    ],
)
async def test_the_token_ends_with_the_password_and_the_membership(gateway: Gateway, change: str) -> None:
    """ID11, ID13, ID15: what the password opened does not outlive it."""
    person = await enrol(gateway)
    token = (await challenged(gateway))["mfa_token"]
    execute(gateway, change)
    assert (await post(gateway, "mfa/verify", mfa_token=token, code=person.code)).status_code == 401


async def test_wrong_codes_are_delayed_by_person_and_nobody_is_locked_out(gateways: GatewayFactory) -> None:
    """ID13, TH6: five at once from any addresses, the next waits; at a usual place the person does not."""
    async with gateways(trusted_proxies="127.0.0.1") as gateway:
        person = await enrol(gateway)
        home = "198.51.100.7"
        token = (await challenged(gateway))["mfa_token"]
        good = {"mfa_token": token, "code": person.code}
        assert (await post(gateway, "mfa/verify", home, **good)).status_code == 200
        token = (await challenged(gateway))["mfa_token"]
        sent = [post(gateway, "mfa/verify", f"203.0.113.{each}", mfa_token=token, code="000000") for each in range(5)]
        assert [each.status_code for each in await asyncio.gather(*sent)] == [401] * 5
        good = {"mfa_token": token, "code": person.code}
        delayed = await post(gateway, "mfa/verify", "203.0.113.9", **good)
        assert (delayed.status_code, delayed.json()["code"]) == (429, "rate_limited")
        wait = int(delayed.headers["retry-after"])
        assert 0 < wait <= 60
        execute(gateway, "UPDATE tenantry.sign_in_allowances SET until = until - %s", timedelta(seconds=wait))
        assert (await post(gateway, "mfa/verify", "203.0.113.9", **good)).status_code == 200, "its turn"
        token = (await challenged(gateway))["mfa_token"]
        assert (await post(gateway, "mfa/verify", home, mfa_token=token, code=person.code)).status_code == 200


async def test_a_change_of_factors_needs_a_proof_of_what_the_person_has(gateway: Gateway) -> None:
    """ID13: a password without a second factor, a second factor from then on; an access token alone is not enough."""
    session = await sign_in(gateway, "viewer")
    assert (await session.post(_TOTP)).status_code == 422
    assert (await session.post(_TOTP, password=PASSWORD, code="000000")).status_code == 422
    refused = await session.post(_TOTP, password="another long passphrase")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert (await post(gateway, "mfa/totp", password=PASSWORD)).json()["code"] == "credential_missing"
    key = await gateway.client.post(_TOTP, json={"password": PASSWORD}, headers=gateway.acme.key("owner"))
    assert key.status_code == 403, "an API key is no person"
    person = await enrol(gateway)
    for proof in ({"password": PASSWORD}, {"code": "000000"}):
        assert (await person.session.post(_TOTP, **proof)).status_code == 403
        assert (await person.session.post(f"{_MFA}/recovery-codes", **proof)).status_code == 403
        assert await _delete(person.session, _TOTP, **proof) == 403
    execute(gateway, "DELETE FROM tenantry.sign_in_allowances")
    renewed = await person.session.post(f"{_MFA}/recovery-codes", code=person.recovery_codes[0])
    codes = renewed.json()["recovery_codes"]
    assert len(codes) == 10
    assert set(codes).isdisjoint(person.recovery_codes)
    assert await _delete(person.session, _TOTP, code=person.recovery_codes[1]) == 403, "replaced"
    assert await _delete(person.session, _TOTP, code=codes[0]) == 204
    assert await _delete(person.session, _TOTP, password=PASSWORD) == 404
    assert (await person.session.get(_MFA)).json()["recovery_codes"] == 0
    assert "access_token" in (await log_in(gateway)).json()


async def test_proofs_are_delayed_as_sign_ins_are(gateway: Gateway) -> None:
    """ID13: a stolen access token guesses neither codes nor the password."""
    person = await enrol(gateway)
    codes = [(await person.session.post(_TOTP, code="000000")).status_code for _ in range(6)]
    assert codes == [403] * 5 + [429]
    session = await sign_in(gateway, "viewer")
    wrong = [(await session.post(_TOTP, password="another long passphrase")).status_code for _ in range(11)]
    assert wrong == [403] * 10 + [429]


async def test_a_new_app_takes_the_place_of_the_old_one_with_its_first_code(gateway: Gateway) -> None:
    """ID13: until then, and when the code is wrong or late, the old one stays."""
    person = await enrol(gateway)
    begun = await person.session.post(_TOTP, code=person.code)
    secret = begun.json()["secret"]
    wrong = await person.session.post(f"{_TOTP}/confirm", code="000000")
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/code")
    await person.verified()
    execute(gateway, "UPDATE tenantry.totp_factors SET created_at = now() - interval '15 minutes'")
    late = await person.session.post(f"{_TOTP}/confirm", code=code_of(secret))
    assert (late.status_code, late.json()["code"]) == (409, "conflict")
    await forget_expired(gateway.services.database)
    secret = (await person.session.post(_TOTP, code=person.code)).json()["secret"]
    confirmed = await person.session.post(f"{_TOTP}/confirm", code=code_of(secret))
    assert confirmed.json() == {"recovery_codes": None, "grant": None}
    token = (await challenged(gateway))["mfa_token"]
    assert (await post(gateway, "mfa/verify", mfa_token=token, code=person.code)).status_code == 401
    assert (await post(gateway, "mfa/verify", mfa_token=token, code=code_of(secret, 1))).status_code == 200


async def test_a_change_of_factors_ends_all_other_sessions(gateways: GatewayFactory) -> None:
    """ID11, ID13: on every worker, in every tenant; the session that made the change goes on."""
    async with gateways() as gateway, gateways() as other:
        before = await sign_in(gateway)
        person = await enrol(gateway)
        assert await before.is_over()
        elsewhere = await person.verified()
        await other.catch_up()
        assert await _delete(person.session, _TOTP, code=person.recovery_codes[0]) == 204
        assert await SignedIn(other, elsewhere.access_token, elsewhere.refresh_token).is_over()
        assert not await person.session.is_over()


async def test_what_was_begun_ends_with_a_change_of_factors(gateway: Gateway) -> None:
    """ID13: an enrolment that a password has begun is not completed once a second factor is the proof."""
    session, device = await sign_in(gateway), Authenticator()
    secret = (await session.post(_TOTP, password=PASSWORD)).json()["secret"]
    begun = await session.post("/v1/auth/passkeys/registration", password=PASSWORD)
    assert (await register(session, Authenticator())).status_code == 201
    assert (await session.post(f"{_TOTP}/confirm", code=code_of(secret))).status_code == 409
    late = device.create(begun.json()["public_key"])
    assert (await session.post("/v1/auth/passkeys", name="Late", passkey=late)).status_code == 422
    shown = (await session.get("/v1/auth/sessions")).json()["data"]
    assert [each["methods"] for each in shown] == [["pwd", "hwk"]]


async def test_single_sign_on_neither_sees_nor_changes_a_persons_factors(gateway: Gateway) -> None:
    """ID13: a tenant's identity provider speaks for that tenant alone; factors protect the person everywhere."""
    session = await sign_in(gateway)
    execute(gateway, "UPDATE tenantry.sign_ins SET methods = '{fed}'")
    federated = SignedIn.of(gateway, await session.refreshed())
    assert (await federated.get("/v1/me")).status_code == 200
    for answer in (
        await federated.get(_MFA),
        await federated.get("/v1/auth/passkeys"),
        await federated.post(_TOTP, password=PASSWORD),
        await federated.post("/v1/auth/passkeys/registration", password=PASSWORD),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_every_change_of_factors_is_mailed_to_the_person(gateways: GatewayFactory) -> None:
    """ID13, SE2: what has changed, and nothing secret; queued in the transaction of the change."""
    mailbox = Mailbox()
    async with smtp_server(mailbox) as port:
        mail = {"smtp_host": LOOPBACK, "smtp_port": port, "smtp_tls": "none", "mail_from": SENDER}
        async with gateways(**mail) as gateway:
            person = await enrol(gateway)
            await person.session.post(f"{_MFA}/recovery-codes", code=person.code)
            assert await _delete(person.session, _TOTP, code="000000") == 403
            assert await _delete(person.session, _TOTP, code=person.code) == 204
            app = make_job_app(gateway.services.settings.database, JobSettings())
            add_jobs(app, gateway.services.features)
            async with app.open_async():
                await app.run_worker_async(wait=False)
    received = mailbox.messages("member@acme.example")
    assert {each.subject for each in received} == {"The sign-in to your Acme account was changed"}
    assert sorted(each.text.splitlines()[0] for each in received) == [
        "An authenticator app was added.",
        "New recovery codes were made.",
        "The authenticator app was removed.",
    ]
    assert not any(secret in str(received) for secret in (person.secret, *person.recovery_codes))


async def test_changes_and_failures_are_in_the_audit_log(gateway: Gateway) -> None:
    """ID13, AU1, SE2: who, whose, from where; failures at most once a minute, with their number; nothing secret."""
    person = await enrol(gateway)
    token = (await challenged(gateway))["mfa_token"]
    for _ in range(3):
        assert (await post(gateway, "mfa/verify", mfa_token=token, code="000000")).status_code == 401
    assert await _delete(person.session, _TOTP, code="000000") == 403
    assert await _delete(person.session, _TOTP, code=person.code) == 204
    await gateway.services.features.refusals.flush()
    [(member,)] = execute(gateway, "SELECT id FROM tenantry.users WHERE email = 'member@acme.example'")
    events = [each for each in events_of(gateway.urls, gateway.acme.ref) if each["type"] != "sign_in.succeeded"]
    assert {each["object_id"] for each in events} == {member}
    assert {(each["type"], each["actor_id"], each["source"]) for each in events} == {
        ("members.totp_added", member, "127.0.0.1"),
        ("members.totp_removed", member, "127.0.0.1"),
        ("sign_in.mfa_refused", None, "127.0.0.1"),
    }
    (refused,) = [each for each in events if each["type"] == "sign_in.mfa_refused"]
    assert (refused["category"], refused["after"]) == ("access", {"count": 4})
    assert not any(secret in str(events) for secret in (person.secret, token, *person.recovery_codes))
