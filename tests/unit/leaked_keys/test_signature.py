"""A report is trusted for its signature alone: over its raw bytes, by a key that the deployment knows."""

import base64
from itertools import count

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

from tenants.errors import SignatureInvalid
from tenants.leaked_keys.signature import ReportKeys
from tests.fixtures.leaked_keys import KEY_ID, published, signed

_KEY, _OTHER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
_KEYS = ReportKeys.load(published({KEY_ID: _KEY, "retired": _OTHER}))
_BODY = b'[{"token":"x","type":"y"}]'


def _verify(raw: bytes, fields: dict[str, str]) -> None:
    _KEYS.signature(fields.get("Github-Public-Key-Identifier"), fields.get("Github-Public-Key-Signature")).verify(raw)


def test_every_known_key_verifies_what_it_has_signed() -> None:
    """ID2: also one that is not current any more, by which a report on its way was signed."""
    _verify(_BODY, signed(_BODY, _KEY))
    _verify(_BODY, signed(_BODY, _OTHER, "retired"))
    _verify(b"", signed(b"", _KEY))


def _as_two_numbers(raw: bytes) -> str:
    numbers = utils.decode_dss_signature(_KEY.sign(raw, ec.ECDSA(SHA256())))
    return base64.b64encode(b"".join(each.to_bytes(32) for each in numbers)).decode()


_GOOD = signed(_BODY, _KEY)["Github-Public-Key-Signature"]


@pytest.mark.parametrize(
    ("key_id", "signature"),
    [
        (KEY_ID, signed(_BODY, _OTHER)["Github-Public-Key-Signature"]),  # forged
        (KEY_ID, signed(_BODY + b" ", _KEY)["Github-Public-Key-Signature"]),  # of another body
        (KEY_ID, base64.b64encode(_KEY.sign(_BODY, ec.ECDSA(SHA384()))).decode()),
        (KEY_ID, _as_two_numbers(_BODY)),
        (KEY_ID, base64.b64encode(b"\x30\x06\x02\x01\x00\x02\x01\x00").decode()),  # r and s are 0
        (KEY_ID, base64.b64encode(b"no signature").decode()),
        (KEY_ID, _GOOD[:-4]),
        (KEY_ID, _GOOD + "A" * 100),
        (KEY_ID, f" {_GOOD}"),
        (KEY_ID, "é"),
        (KEY_ID, ""),
        (KEY_ID, None),
        ("retired", _GOOD),
        ("unknown", _GOOD),
        ("", _GOOD),
        (None, _GOOD),
    ],
    ids=count(),  # the values are random: a name of a test must not be
)
def test_everything_else_is_refused(key_id: str | None, signature: str | None) -> None:
    """SI1's rule for another sender: forged, of another key or body, malformed, or missing."""
    with pytest.raises(SignatureInvalid):
        _KEYS.signature(key_id, signature).verify(_BODY)
