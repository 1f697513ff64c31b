"""Codes of authenticator apps and recovery codes, as rules without a database."""

import re
from xml.etree import ElementTree as ET

import pytest

from tenants.identifiers import new_id
from tenants.mfa import recovery_codes, totp
from tenants.mfa.challenges import Challenges
from tenants.mfa.factors import TOTP_SECRET, FactorChecks
from tenants.mfa.models import TotpFactor
from tenants.mfa.passkeys import RelyingParty
from tenants.secrets.hashing import SecretHasher
from tenants.secrets.sealing import SealedRow, Sealer, SealingKey
from tenants.settings import Pepper

_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # the ASCII text 12345678901234567890 of RFC 6238, appendix B


@pytest.mark.parametrize(
    ("now", "code"), [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")]
)
def test_codes_are_those_of_rfc_6238(now: int, code: str) -> None:
    """ID13: the last six digits of the RFC's own values."""
    assert totp.accepted_step(_SECRET, code, now=now, after=None) == now // 30


def test_a_code_is_accepted_one_step_early_and_late_and_no_further() -> None:
    """ID13: a window of one step to both sides."""
    accepted = [totp.accepted_step(_SECRET, "005924", now=1234567890 + 30 * each, after=None) for each in range(-2, 3)]
    step = 1234567890 // 30
    assert accepted == [None, step, step, step, None]


def test_a_step_is_accepted_once_and_none_before_it() -> None:
    """ID13: replayed codes, and codes of an older step."""
    step = 1234567890 // 30
    assert totp.accepted_step(_SECRET, "005924", now=1234567890, after=step - 1) == step
    assert totp.accepted_step(_SECRET, "005924", now=1234567890, after=step) is None
    assert totp.accepted_step(_SECRET, "005924", now=1234567890, after=step + 1) is None


@pytest.mark.parametrize(
    "code", ["", "05924", "0059240", "00592a", "\uff10\uff10\uff15\uff19\uff12\uff14", "005924\n", "005 924"]
)
def test_only_six_ascii_digits_are_a_code(code: str) -> None:
    """ID13: the library itself would accept digits of other scripts."""
    assert totp.accepted_step(_SECRET, code, now=1234567890, after=None) is None


def test_an_enrolment_can_be_scanned_and_runs_nothing() -> None:
    """ID13, CO3: the account's name is escaped in the URI; the image has neither script nor reference."""
    secret = totp.new_secret()
    assert re.fullmatch(r"[A-Z2-7]{32}", secret)  # 160 bits
    uri = totp.enrolment_uri(secret, account='a"<script>&b@example.com', issuer="Acme: one")
    assert re.fullmatch(r"otpauth://totp/[\w%.@:-]+\?secret=[A-Z2-7]{32}&issuer=[\w%+]+", uri), uri
    tags = {each.tag.rpartition("}")[2] for each in ET.fromstring(totp.qr_svg(uri)).iter()}  # noqa: S314
    assert tags <= {"svg", "path", "g"}


def test_recovery_codes_are_random_and_read_as_people_type_them() -> None:
    """ID13: ten codes of 80 bits; case, spaces and look-alikes do not matter."""
    codes = recovery_codes.new_codes()
    assert len(set(codes)) == recovery_codes.COUNT == 10
    assert all(re.fullmatch(r"([0-9a-hjkmnp-tv-z]{4}-){3}[0-9a-hjkmnp-tv-z]{4}", each) for each in codes)
    assert 32**16 == 2**80
    assert recovery_codes.canonical(" 0O1I-Llab CDEF-GHJK ") == "001111abcdefghjk"


@pytest.mark.parametrize(
    "text", ["", "123456", "0123-4567-89ab-cde", "0123-4567-89ab-cdeu", "\uff10123-4567-89ab-cdef"]
)
def test_other_text_is_no_recovery_code(text: str) -> None:
    """ID13: it costs no hash and no look-up."""
    assert recovery_codes.canonical(text) is None


def test_a_secret_is_sealed_for_its_row_and_again_after_a_rotation() -> None:
    """SE1: moved to another row it cannot be read; keys rotate online."""
    old, new = SealingKey(1, b"o" * 32), SealingKey(2, b"n" * 32)
    checks, rotated = (_checks(Sealer(keys, TOTP_SECRET)) for keys in ([old], [new, old]))
    row = TotpFactor(id=new_id(), secret_sealed=b"")
    row.secret_sealed = checks.sealer.seal(SealedRow(None, row.id), _SECRET.encode())
    moved = TotpFactor(id=new_id(), secret_sealed=row.secret_sealed)
    assert [each.accepted_step(row, "005924") for each in (checks, rotated)] == [1234567890 // 30] * 2
    assert rotated.sealer.is_current(row.secret_sealed)
    assert checks.accepted_step(moved, "005924") is None


def _checks(sealer: Sealer) -> FactorChecks:
    hasher = SecretHasher([Pepper(1, b"p" * 32)])
    party = RelyingParty("example.com", "Acme", ())
    return FactorChecks(
        hasher=hasher, sealer=sealer, challenges=Challenges(hasher), party=party, clock=lambda: 1234567890.0
    )
