"""Keys that sign access tokens: Ed25519 only, each with a unique kid.

Rotation without a failed request (ID7): add the new key as the second one, so that every worker and every client of the
JWKS knows it; when caches have expired, make it the first; remove the old key when its last token has expired.
"""

import json
from functools import cached_property
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

ALGORITHM: Final = "Ed25519"  # RFC 9864 section 2.2; the older name EdDSA does not fix the curve
_LONGEST_KID = 128


class SigningKeys:
    """A key set, validated when it is loaded."""

    def __init__(self, keys: dict[str, OKPKey]) -> None:
        self._keys = keys
        self.signing_kid = next(iter(keys))

    @classmethod
    def load(cls, text: str) -> "SigningKeys":
        """Read a JWK Set (RFC 7517 section 5) whose first key is private. Raises ValueError on anything else."""
        document = _document(text)
        entries = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(entries, list) or not entries:
            raise ValueError('signing keys must be {"keys": [...]} with at least one key')
        keys: dict[str, OKPKey] = {}
        for entry in entries:
            kid, key = _checked(entry)
            if kid in keys:
                raise ValueError(f"two signing keys have the kid {kid!r}")
            keys[kid] = key
        if not next(iter(keys.values())).is_private:
            raise ValueError("the first signing key must be private")
        if "sign" not in entries[0].get("key_ops", ("sign",)):
            raise ValueError("the first signing key must allow sign in key_ops")
        return cls(keys)

    @property
    def signing_key(self) -> OKPKey:
        """The private key that signs new tokens."""
        return self._keys[self.signing_kid]

    def find(self, kid: str) -> OKPKey | None:
        """The key with exactly this kid."""
        return self._keys.get(kid)

    @cached_property
    def public_document(self) -> bytes:
        """The JWK Set served at ``/.well-known/jwks.json``: public keys only."""
        return json.dumps({"keys": [_public(kid, key) for kid, key in self._keys.items()]}).encode()


def load_earlier_keys(text: str) -> dict[str, OKPKey]:
    """The keys of a JWK Set, private or public, by kid: for what earlier keys have signed. Raises ValueError."""
    document = _document(text)
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError('earlier signing keys must be {"keys": [...]}')  # noqa: TRY004 - one error for every bad set
    return dict(map(_checked, entries))


def generate_signing_keys(kid: str) -> str:
    """Generate a JWK Set with one private key, in the format of ``TENANTRY_SIGNING_KEYS``."""
    key = OKPKey.generate_key(ALGORITHM)
    return json.dumps({"keys": [{**key.as_dict(private=True), "kid": kid, "use": "sig", "alg": ALGORITHM}]})


def _document(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("signing keys are nested too deeply") from error


def _checked(entry: object) -> tuple[str, OKPKey]:
    if not isinstance(entry, dict):
        raise ValueError("a signing key is not an object")  # noqa: TRY004 - one error for every bad key set
    kid = entry.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= _LONGEST_KID:
        raise ValueError("a signing key has no kid")
    if entry.get("kty") != "OKP" or entry.get("crv") != ALGORITHM:
        raise ValueError(f"signing key {kid!r} is not an Ed25519 key")
    if entry.get("use", "sig") != "sig" or str(entry.get("alg", ALGORITHM)) not in {ALGORITHM, "EdDSA"}:
        raise ValueError(f"signing key {kid!r} has another use or algorithm")
    if "key_ops" in entry:
        _check_operations(kid, entry["key_ops"])
    return kid, _imported(kid, entry)


def _check_operations(kid: str, operations: object) -> None:
    """RFC 7517 section 4.3: an array of different names."""
    if not isinstance(operations, list) or not all(isinstance(each, str) for each in operations):
        raise ValueError(f"signing key {kid!r}: key_ops must be a list of names")
    if len(set(operations)) != len(operations):
        raise ValueError(f"signing key {kid!r}: key_ops names an operation twice")
    if not {"sign", "verify"}.issuperset(operations) or not operations:
        raise ValueError(f"signing key {kid!r}: key_ops must allow sign, verify or both, and nothing else")


def _imported(kid: str, entry: dict[str, Any]) -> OKPKey:
    parts: dict[str, str | list[str]] = {name: entry[name] for name in ("kty", "crv", "x", "d") if name in entry}
    try:
        key = OKPKey.import_key(parts, {"kid": kid, "use": "sig", "alg": ALGORITHM})
        matches = "d" not in parts or key.as_dict(private=False)["x"] == _public_half(key)
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"signing key {kid!r} cannot be read") from error
    if not matches:
        raise ValueError(f"signing key {kid!r}: public and private part do not match")
    return key


def _public_half(key: OKPKey) -> str:
    return str(OKPKey.binding.export_public_key(key.public_key)["x"])


def _public(kid: str, key: OKPKey) -> dict[str, str]:
    return {"kty": "OKP", "crv": ALGORITHM, "x": _public_half(key), "kid": kid, "use": "sig", "alg": ALGORITHM}
