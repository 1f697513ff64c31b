"""What the stage hands on of a request whose credential is not warm."""

from typing import cast

import pytest

from gateway.identity.credential import Credential
from gateway.identity.failed_credentials import FailedCredentials
from gateway.identity.principals import Principals
from gateway.identity.stage import IdentityStage
from tenants.credentials import CredentialInvalid
from tests.asgi import HOST, http_scope, request_context, run_stage

pytestmark = pytest.mark.anyio


class _Nobody:
    """Knows no credential, and remembers for whom it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, str]] = []

    def recall(self, key: bytes) -> None:
        assert key

    async def find(self, credential: Credential, source: str = "") -> None:
        self.asked.append((credential.text, source))
        raise CredentialInvalid


async def test_an_unknown_credential_waits_behind_those_of_its_own_sender() -> None:
    """TH4: not behind everybody's, or one who sends many would hold up all others."""
    nobody = _Nobody()
    stage = IdentityStage(cast("Principals", nobody), FailedCredentials())
    for source in ("192.0.2.1", "192.0.2.2"):
        request = request_context(http_scope(headers=[HOST, (b"x-api-key", b"tn_live_a")]), source=source)
        with pytest.raises(CredentialInvalid):
            await run_stage(stage, request)
    assert nobody.asked == [(b"tn_live_a", "192.0.2.1"), (b"tn_live_a", "192.0.2.2")]
