"""A desk at which credentials are asked for, and a database that answers when it is let."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.identity.answer import Answer
from gateway.identity.cache import PrincipalCache
from gateway.identity.loads import Load, Loads, Outcome
from gateway.identity.wanted import Secret, Wanted
from tenants.identifiers import OperatorKeyId, new_id
from tenants.principal import Operator
from tenants.secrets.tokens import SecretKind
from tests.unit.identity.world import Channel

TENANT = "tenant 1"


def operator(name: str = "somebody") -> Operator:
    return Operator(OperatorKeyId(new_id()), name)


@dataclass
class SlowDatabase:
    """Answers when it is let, and remembers what it was asked."""

    open: asyncio.Event = field(default_factory=asyncio.Event)
    questions: list[list[str]] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0

    async def load(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        names = [each.text for each in wanted if isinstance(each, Secret)]
        self.questions.append(names)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.open.wait()
        finally:
            self.under_way -= 1
        return [Answer(operator(name), (f"api_key {name}",), TENANT) for name in names]


class Desk:
    """A cache and its loads over some database."""

    def __init__(self, load: Load) -> None:
        self.channel = Channel()
        self.cache = PrincipalCache(self.channel)
        self.loads = Loads(self.cache, load)

    async def answer(self, name: str, lane: str = "") -> Answer:
        return await self.loads.answer(name.encode(), Secret(SecretKind.LIVE, name), lane)

    def ask(self, name: str, lane: str = "") -> asyncio.Task[Answer]:
        return asyncio.create_task(self.answer(name, lane))

    def ask_many(self, names: Sequence[str], lane: str = "") -> list[asyncio.Task[Answer]]:
        return [self.ask(name, lane) for name in names]

    def knows(self, name: str) -> bool:
        return self.cache.recall(name.encode()) is not None


async def settle() -> None:
    """Let everybody come to where he waits."""
    for _ in range(10):
        await asyncio.sleep(0)
