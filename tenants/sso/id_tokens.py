"""Verification of ID tokens (OpenID Connect Core 1.0 section 3.1.3.7). No I/O."""

from typing import Any

from authlib.oidc.core import CodeIDToken

from tenants.oidc.errors import AnswerRefused
from tenants.oidc.tokens import FAULTS, LEEWAY, signed


def verify(token: str, jwk: dict[str, Any], *, issuer: str, client_id: str, nonce: str) -> dict[str, Any]:
    """The claims of a token signed with this key. Raises AnswerRefused."""
    try:
        decoded = signed(token, jwk)
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
    except FAULTS as error:
        raise AnswerRefused(f"ID token: {type(error).__name__} {getattr(error, 'claim', '') or ''}") from error
    return dict(claims)
