"""Verifies ``Tenantry-Identity`` with the gateway's published keys, by joserfc."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import extract_compact

TYPE = "tenantry-identity+jwt"
ALGORITHM = "Ed25519"
LEEWAY = 5  # seconds by which the clocks of gateway and service may differ
REFRESH = 30.0  # seconds: how often an unknown key may make the service ask for the keys again


class NotVerified(Exception):
    """The request does not come through the gateway, or not for this service."""


@dataclass
class Identities:
    """One for each service. ``audience`` is the name of the upstream in the gateway's configuration."""

    jwks_url: str
    issuer: str
    audience: str
    _keys: KeySet = field(default_factory=lambda: KeySet([]))
    _asked: float = -REFRESH  # monotonic seconds
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def verified(self, token: str | None) -> dict[str, Any]:
        """The claims. Raises NotVerified."""
        if token is None:
            raise NotVerified("no Tenantry-Identity")
        try:
            header = extract_compact(token.encode()).headers()
            if header.get("typ") != TYPE:
                raise NotVerified("another type of token")
            await self._learn(str(header.get("kid")))
            decoded = jwt.decode(token, self._keys, algorithms=[ALGORITHM])
            jwt.JWTClaimsRegistry(
                leeway=LEEWAY,
                iss={"essential": True, "value": self.issuer},
                aud={"essential": True, "value": self.audience},
                exp={"essential": True},
                sub={"essential": True},
            ).validate(decoded.claims)
        except (JoseError, ValueError) as error:
            raise NotVerified(type(error).__name__) from error
        return decoded.claims

    async def _learn(self, kid: str) -> None:
        """Ask for the keys when this one is unknown, as after a rotation."""
        async with self._asking:
            if any(key.kid == kid for key in self._keys.keys) or time.monotonic() - self._asked < REFRESH:
                return
            self._asked = time.monotonic()
            async with httpx.AsyncClient() as client:
                answer = await client.get(self.jwks_url)
            self._keys = KeySet.import_key_set(answer.raise_for_status().json())
