"""The identity stage, for a credential that is not cached."""

from typing import cast

import pytest

from gateway.identity.failed_credentials import FailedCredentials
from gateway.identity.principals import Principals
from gateway.identity.stage import IdentityStage
from gateway.identity.turns import Turn
from gateway.request.fields import Credential
from tenants.credentials import CredentialInvalid
from tests.asgi import HOST, http_scope, request_context, run_stage

pytestmark = pytest.mark.anyio


class _NoPrincipals:
    """Knows no credential, and records the lookups."""

    def __init__(self) -> None:
        self.loads: list[tuple[bytes, str]] = []

    def get(self, key: bytes) -> None:
        assert key

    async def load(self, credential: Credential, source: str, turn: Turn | None) -> None:
        assert turn is None
        self.loads.append((credential.text, source))
        raise CredentialInvalid


class _NoRefusals:
    """An unknown credential belongs to no tenant."""

    def note(self, *refusal: object) -> None:
        raise AssertionError(refusal)


async def test_an_unknown_credential_queues_by_source() -> None:
    """TH4: a flood of one source must not delay the others."""
    principals = _NoPrincipals()
    stage = IdentityStage(cast("Principals", principals), FailedCredentials(), _NoRefusals())
    for source in ("192.0.2.1", "192.0.2.2"):
        request = request_context(http_scope(headers=[HOST, (b"x-api-key", b"tn_live_a")]), source=source)
        with pytest.raises(CredentialInvalid):
            await run_stage(stage, request)
    assert principals.loads == [(b"tn_live_a", "192.0.2.1"), (b"tn_live_a", "192.0.2.2")]
