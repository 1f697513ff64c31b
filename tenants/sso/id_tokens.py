"""Verification of ID tokens (OpenID Connect Core 1.0 section 3.1.3.7). No I/O.

The algorithm is pinned to public-key ones, so neither ``none`` nor a MAC under a public value can pass (RFC 8725). The
key is selected by its exact kid from the provider's own key set; keys that a token names or carries are refused.
"""

import json
from dataclasses import dataclass
from typing import Any, NoReturn

from authlib.oidc.core import CodeIDToken
from cryptography.exceptions import UnsupportedAlgorithm
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode

from tenants.sso.port import IdentityRefused

LEEWAY = 30  # seconds; tolerated clock difference
LONGEST_TOKEN = 32_768  # bytes; tokens with many groups are long
_RSA_BITS = range(2048, 8193)  # a longer modulus takes long to verify
_Jwk = dict[str, Any]
_KEY_TYPES = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP", "Ed25519": "OKP"}
_CURVES = {"EC": "P-256", "OKP": "Ed25519"}
_REFUSED_MEMBERS = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64"})
# What a library raises for a hostile token or key.
_FAULTS = (
    JoseError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    UnsupportedAlgorithm,
    RecursionError,
)


@dataclass(frozen=True, slots=True)
class TokenHeader:
    """What selects the key."""

    algorithm: str
    kid: str | None


class _PinnedAlgorithms(JWSRegistry):
    """The library warns of ``EdDSA``, which does not fix the curve; the curve is checked here."""

    max_header_length = 2_048
    max_payload_length = LONGEST_TOKEN

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in _KEY_TYPES:
            refuse("algorithm is not allowed")
        return self.algorithms[name]


_REGISTRY = _PinnedAlgorithms(strict_check_header=False)


def read_header(token: str) -> TokenHeader:
    """Algorithm and kid of a token that is not verified yet. Raises IdentityRefused."""
    if len(token) > LONGEST_TOKEN or not token.isascii():
        refuse("token is too long or not ASCII")
    try:
        header = json.loads(urlsafe_b64decode(token.partition(".")[0].encode()))
    except _FAULTS as error:
        raise IdentityRefused("header is not JSON") from error
    if not isinstance(header, dict) or _REFUSED_MEMBERS & header.keys():
        refuse("unexpected header")
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in _KEY_TYPES:
        refuse("algorithm is not allowed")
    if kid is not None and not isinstance(kid, str):
        refuse("kid is not text")
    return TokenHeader(algorithm, kid)


def fits(jwk: object, header: TokenHeader) -> bool:
    """Whether this key of the provider's set may verify the token."""
    if not isinstance(jwk, dict) or jwk.get("kty") != _KEY_TYPES[header.algorithm]:
        return False
    if jwk.get("use", "sig") != "sig" or jwk.get("alg", header.algorithm) not in _spellings(header.algorithm):
        return False
    if "key_ops" in jwk and "verify" not in (jwk["key_ops"] if isinstance(jwk["key_ops"], list) else ()):
        return False
    return jwk.get("crv") == _CURVES.get(jwk["kty"]) and (header.kid is None or jwk.get("kid") == header.kid)


def verify(token: str, jwk: _Jwk, *, issuer: str, client_id: str, nonce: str) -> dict[str, Any]:
    """The claims of a token signed with this key. Raises IdentityRefused."""
    try:
        decoded = jwt.decode(token, _imported(jwk), registry=_REGISTRY)
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            {
                "iss": {"essential": True, "value": issuer},
                "aud": {"essential": True, "value": client_id},
                "sub": {"essential": True},
            },
            {"nonce": nonce, "client_id": client_id},
        )
        claims.validate(leeway=LEEWAY)
    except _FAULTS as error:
        raise IdentityRefused(f"ID token: {type(error).__name__} {getattr(error, 'claim', '') or ''}") from error
    return dict(claims)


def refuse(reason: str) -> NoReturn:
    """Raise IdentityRefused."""
    raise IdentityRefused(reason)


def _spellings(algorithm: str) -> frozenset[str]:
    """RFC 9864 gave Ed25519 a name of its own; providers use either."""
    return frozenset({"EdDSA", "Ed25519"} if algorithm in {"EdDSA", "Ed25519"} else {algorithm})


def _imported(jwk: _Jwk) -> RSAKey | ECKey | OKPKey:
    """The public part of the key, and nothing else of it."""
    if jwk["kty"] == "RSA":
        if int.from_bytes(urlsafe_b64decode(jwk["n"].encode())).bit_length() not in _RSA_BITS:
            refuse("RSA key of a wrong size")
        return RSAKey.import_key({"kty": "RSA", "n": jwk["n"], "e": jwk["e"]})
    if jwk["kty"] == "EC":
        return ECKey.import_key({"kty": "EC", "crv": "P-256", "x": jwk["x"], "y": jwk["y"]})
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": jwk["x"]})
