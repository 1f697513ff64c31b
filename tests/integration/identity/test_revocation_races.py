"""Loading a key raced against its revocation, with real notifications and two workers' memories."""

import asyncio
import os
import random
import time

import pytest

from gateway.identity.cache import Subject
from gateway.identity.principals import Principals
from tenants.api_keys.schemas import CreateApiKey
from tenants.api_keys.service import IssuedKey
from tenants.credentials import CredentialRevoked
from tests.fixtures.gateways import Gateway, GatewayFactory

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3600)]
_RACES = int(os.environ.get("TENANTRY_TEST_RACES", "40"))
_BATCH = 10  # races at a time


async def _make(gateway: Gateway) -> IssuedKey:
    async with gateway.services.database.control() as session:
        wanted = CreateApiKey(name="raced", role="viewer")
        return await gateway.services.identity.api_keys.create(session, gateway.acme.ref.id, None, wanted)


async def _revoke(gateway: Gateway, issued: IssuedKey, after: float) -> None:
    await asyncio.sleep(after)
    async with gateway.services.database.control() as session:
        await gateway.services.identity.api_keys.revoke(session, gateway.acme.ref.id, issued.key.id)


async def _find(principals: Principals, secret: bytes) -> Subject | None:
    """As the identity stage does it; None when the key is refused as revoked."""
    try:
        return principals.recall(secret) or await principals.find(secret)
    except CredentialRevoked:
        return None


async def _ask_until_refused(principals: Principals, secret: bytes, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while await _find(principals, secret) is not None:  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)


async def _race(workers: list[Gateway], choice: random.Random) -> float:
    issued = await _make(workers[0])
    secret, memories = issued.secret.encode(), [worker.services.principals for worker in workers]
    revoking = asyncio.create_task(_revoke(workers[0], issued, choice.uniform(0, 0.006)))
    for each in memories * 3:
        await asyncio.sleep(choice.uniform(0, 0.002))
        await _find(each, secret)
    await revoking
    revoked = time.monotonic()
    await asyncio.gather(*(_ask_until_refused(each, secret, 1.0) for each in memories))
    refused = time.monotonic() - revoked
    for _ in range(5):  # and it stays so, whatever was still on its way
        await asyncio.sleep(choice.uniform(0, 0.002))
        assert [await _find(each, secret) for each in memories] == [None, None]
    return refused


async def test_a_key_that_is_loaded_while_it_is_revoked_never_comes_back(gateways: GatewayFactory) -> None:
    """ID4: refused on both workers within 1 s, and for good. TENANTRY_TEST_RACES=10000 for the long run."""
    choice = random.Random(20261122)  # noqa: S311 - repeatable on purpose
    async with gateways() as one, gateways() as other:
        seconds: list[float] = []
        while len(seconds) < _RACES:
            seconds += await asyncio.gather(*(_race([one, other], choice) for _ in range(_BATCH)))
    assert max(seconds) < 1
