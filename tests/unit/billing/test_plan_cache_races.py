"""Loading the plans concurrently with changes."""

import asyncio
import os
import random
from types import MappingProxyType
from typing import cast

import pytest

from billing.plans.cache import PlanCache
from billing.plans.plan import Plan
from tenants.database.listener import ChangeListener
from tenants.database.sessions import Database
from tests.unit.identity.cache_model import Channel, Pauses

pytestmark = pytest.mark.anyio
_RACES = int(os.environ.get("TENANTRY_TEST_RACES", "10000")) // 5


class _Book(PlanCache):
    """Reads from the test's own table, with random delays."""

    def __init__(self, pause: Pauses) -> None:
        self.channel = Channel()
        super().__init__(cast("Database", None), cast("ChangeListener", self.channel))
        self.table = {"free": 0, "pro": 0}
        self.seen = dict(self.table)
        self._pause = pause

    async def _read(self) -> dict[str, Plan]:
        await self._pause()
        found = {
            code: Plan(code, str(state), 0, (), None, None, MappingProxyType({}), None)
            for code, state in self.table.items()
        }
        await self._pause()
        return found

    def check(self) -> None:
        """No loaded plan is older than at the previous check."""
        for plan in self.plans():
            assert int(plan.name) >= self.seen[plan.code]
            self.seen[plan.code] = int(plan.name)

    @property
    def is_current(self) -> bool:
        """The loaded plans equal the table."""
        return {plan.code: int(plan.name) for plan in self.plans()} == self.table


async def _change(book: _Book, pause: Pauses, choice: random.Random) -> None:
    for _ in range(4):
        await pause()
        code = choice.choice(list(book.table))
        book.table[code] += 1
        await pause()
        book.channel.tell(*choice.choice([("plan", code), ("plan", code), ("reset", "")]))


async def _check(book: _Book, pause: Pauses, choice: random.Random) -> None:
    for _ in range(6):
        await pause()
        book.check()
        if choice.random() < 0.3:
            await book.load()  # as a caller that does not wait for the notification


async def test_no_interleaving_of_loads_and_changes_leaves_an_outdated_plan() -> None:
    """ID4, TH7: plans never go back to an older version, and are current after the load that follows a notification."""
    for seed in range(_RACES):
        pause = Pauses(seed, lambda: asyncio.sleep(0))
        book = _Book(pause)
        await book.start()
        await asyncio.gather(_change(book, pause, pause.choice), *(_check(book, pause, pause.choice) for _ in range(2)))
        for _ in range(40):
            if book.is_current:
                break
            await asyncio.sleep(0)
        assert book.is_current
        await book.close()
