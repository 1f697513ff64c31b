"""A credential loader over a fake database that replies on command."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.identity.cache import PrincipalCache
from gateway.identity.credential_loader import CredentialLoader, Load, Outcome
from gateway.identity.lookup import KeySecret, Lookup, LookupResult
from tenants.identifiers import OperatorKeyId, new_id
from tenants.principal import Operator, OperatorRole
from tenants.secrets.tokens import SecretKind
from tests.unit.identity.cache_model import Channel

TENANT = "tenant 1"


def operator(name: str = "operator") -> Operator:
    return Operator(OperatorKeyId(new_id()), name, OperatorRole.ADMIN)


@dataclass
class SlowDatabase:
    """Replies once ``open`` is set, and records its queries."""

    open: asyncio.Event = field(default_factory=asyncio.Event)
    queries: list[list[str]] = field(default_factory=list)
    pending: int = 0
    max_pending: int = 0

    async def load(self, lookups: Sequence[Lookup]) -> list[Outcome]:
        names = [each.text for each in lookups if isinstance(each, KeySecret)]
        self.queries.append(names)
        self.pending += 1
        self.max_pending = max(self.max_pending, self.pending)
        try:
            await self.open.wait()
        finally:
            self.pending -= 1
        return [LookupResult(operator(name), (f"api_key {name}",), TENANT) for name in names]


class LoaderHarness:
    """A cache and a loader over some database."""

    def __init__(self, load: Load) -> None:
        self.channel = Channel()
        self.cache = PrincipalCache(self.channel)
        self.loader = CredentialLoader(self.cache, load)

    async def load(self, name: str, source: str = "") -> LookupResult:
        return await self.loader.load(name.encode(), KeySecret(SecretKind.LIVE, name), source)

    def start(self, name: str, source: str = "") -> asyncio.Task[LookupResult]:
        return asyncio.create_task(self.load(name, source))

    def start_many(self, names: Sequence[str], source: str = "") -> list[asyncio.Task[LookupResult]]:
        return [self.start(name, source) for name in names]

    def is_cached(self, name: str) -> bool:
        return self.cache.get(name.encode()) is not None


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)
