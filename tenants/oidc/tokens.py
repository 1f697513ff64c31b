"""Signatures of issuers' tokens (RFC 7515, RFC 8725). No I/O.

The algorithm is pinned to public-key ones, so neither ``none`` nor a MAC under a public value can pass. The key is
selected by its exact kid from the issuer's own key set; keys that a token names or carries are refused.
"""

import json
from dataclasses import dataclass
from typing import Any, NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode

from tenants.oidc.errors import AnswerRefused

LEEWAY = 30  # seconds; tolerated clock difference
LONGEST_TOKEN = 32_768  # bytes; tokens with many groups are long
_RSA_BITS = range(2048, 8193)  # a longer modulus takes long to verify
_Jwk = dict[str, Any]
_KEY_TYPES = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "ES384": "EC", "EdDSA": "OKP", "Ed25519": "OKP"}
_CURVES = {"ES256": "P-256", "ES384": "P-384", "EdDSA": "Ed25519", "Ed25519": "Ed25519"}
_REFUSED_MEMBERS = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64"})
# What a library raises for a hostile token or key.
FAULTS = (
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
    """Algorithm and kid of a token that is not verified yet. Raises AnswerRefused."""
    if len(token) > LONGEST_TOKEN or not token.isascii():
        refuse("token is too long or not ASCII")
    try:
        header = json.loads(urlsafe_b64decode(token.partition(".")[0].encode()))
    except FAULTS as error:
        raise AnswerRefused("header is not JSON") from error
    if not isinstance(header, dict) or _REFUSED_MEMBERS & header.keys():
        refuse("unexpected header")
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in _KEY_TYPES:
        refuse("algorithm is not allowed")
    if kid is not None and not isinstance(kid, str):
        refuse("kid is not text")
    return TokenHeader(algorithm, kid)


def fits(jwk: object, header: TokenHeader) -> bool:
    """Whether this key of the issuer's set may verify the token."""
    if not isinstance(jwk, dict) or jwk.get("kty") != _KEY_TYPES[header.algorithm]:
        return False
    if jwk.get("use", "sig") != "sig" or jwk.get("alg", header.algorithm) not in _spellings(header.algorithm):
        return False
    if "key_ops" in jwk and "verify" not in (jwk["key_ops"] if isinstance(jwk["key_ops"], list) else ()):
        return False
    return jwk.get("crv") == _CURVES.get(header.algorithm) and (header.kid is None or jwk.get("kid") == header.kid)


def signed(token: str, jwk: _Jwk) -> jwt.Token:
    """Header and claims of a token that is signed with this key; no claim is checked. Raises what FAULTS lists."""
    return jwt.decode(token, _imported(jwk), registry=_REGISTRY)


def refuse(reason: str) -> NoReturn:
    """Raise AnswerRefused."""
    raise AnswerRefused(reason)


def _spellings(algorithm: str) -> frozenset[str]:
    """RFC 9864 gave Ed25519 a name of its own; issuers use either."""
    return frozenset({"EdDSA", "Ed25519"} if algorithm in {"EdDSA", "Ed25519"} else {algorithm})


def _imported(jwk: _Jwk) -> RSAKey | ECKey | OKPKey:
    """The public part of the key, and nothing else of it."""
    if jwk["kty"] == "RSA":
        if int.from_bytes(urlsafe_b64decode(jwk["n"].encode())).bit_length() not in _RSA_BITS:
            refuse("RSA key of a wrong size")
        return RSAKey.import_key({"kty": "RSA", "n": jwk["n"], "e": jwk["e"]})
    if jwk["kty"] == "EC":
        return ECKey.import_key({"kty": "EC", "crv": jwk["crv"], "x": jwk["x"], "y": jwk["y"]})
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": jwk["x"]})
