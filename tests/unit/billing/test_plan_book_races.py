"""Reading the plans raced against their changes."""

import asyncio
import os
import random
from types import MappingProxyType
from typing import cast

import pytest

from billing.plans.book import PlanBook
from billing.plans.plan import Plan
from tenants.database.listener import ChangeListener
from tenants.database.sessions import Database
from tests.unit.identity.world import Channel, Pauses

pytestmark = pytest.mark.anyio
_RACES = int(os.environ.get("TENANTRY_TEST_RACES", "10000")) // 5


class _Book(PlanBook):
    """Reads from the test's own table, which takes its time."""

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

    def look(self) -> None:
        """No plan in the book is ever older than it was when it was last looked at."""
        for plan in self.plans():
            assert int(plan.name) >= self.seen[plan.code]
            self.seen[plan.code] = int(plan.name)

    @property
    def is_right(self) -> bool:
        """The book says what the table says."""
        return {plan.code: int(plan.name) for plan in self.plans()} == self.table


async def _change(book: _Book, pause: Pauses, choice: random.Random) -> None:
    for _ in range(4):
        await pause()
        code = choice.choice(list(book.table))
        book.table[code] += 1
        await pause()
        book.channel.tell(*choice.choice([("plan", code), ("plan", code), ("reset", "")]))


async def _look(book: _Book, pause: Pauses, choice: random.Random) -> None:
    for _ in range(6):
        await pause()
        book.look()
        if choice.random() < 0.3:
            await book.load()  # as whoever cannot wait for the notice


async def test_no_interleaving_of_reading_and_changing_leaves_an_older_plan_in_the_book() -> None:
    """ID4, TH7: the book never goes back, and is right as soon as it has read what it was told of."""
    for seed in range(_RACES):
        pause = Pauses(seed, lambda: asyncio.sleep(0))
        book = _Book(pause)
        await book.start()
        await asyncio.gather(_change(book, pause, pause.choice), *(_look(book, pause, pause.choice) for _ in range(2)))
        for _ in range(40):
            if book.is_right:
                break
            await asyncio.sleep(0)
        assert book.is_right
        await book.close()
