"""Loads raced against every change that there is, in thousands of interleavings."""

import asyncio
import os
from collections.abc import Awaitable
from uuid import UUID

import pytest

from tests.unit.identity.world import REVOKED, Credential, Pauses, World, key_of, token_of

pytestmark = pytest.mark.anyio
_RACES = int(os.environ.get("TENANTRY_TEST_RACES", "10000"))
_ACME, _GLOBEX, _ADA = UUID(int=1), UUID(int=2), UUID(int=3)
_CREDENTIALS = (
    key_of("aa", _ACME),
    key_of("bb", _ACME),
    key_of("cc", _GLOBEX),
    token_of("a", _ACME, _ADA),
    token_of("b", _GLOBEX, _ADA),
)


def _turn() -> Awaitable[None]:
    return asyncio.sleep(0)


class _Race:
    """Five credentials of two tenants, more than the memory holds; their rows change while others ask for them."""

    def __init__(self, seed: int) -> None:
        self._pause = Pauses(seed, _turn)
        self._choice = self._pause.choice
        self._world = World(_CREDENTIALS, self._pause, size=3)
        self._changing = True
        self.asked = 0

    async def run(self) -> None:
        await asyncio.gather(self._change(), self._tell(), *(self._ask() for _ in range(3)))
        credential = self._choice.choice(_CREDENTIALS)
        self._check(credential, self._world.rows, await self._world.find(credential))
        assert not len(self._world.loads)

    async def _change(self) -> None:
        for _ in range(4):
            await self._pause()
            row = self._choice.choice(list(self._world.rows))
            if self._world.rows[row] < REVOKED:
                self._world.commit(row)
        self._changing = False

    async def _tell(self) -> None:
        while self._changing or self._world.told != self._world.rows:
            await _turn()
            await self._pause()
            self._world.tell(reset=self._choice.random() < 0.1)

    async def _ask(self) -> None:
        for _ in range(3):
            await self._pause()
            credential, told = self._choice.choice(_CREDENTIALS), dict(self._world.told)
            self._check(credential, told, await self._world.find(credential))
            self.asked += 1

    def _check(self, credential: Credential, told: dict[str, int], found: object) -> None:
        """Whoever asks after the news has arrived never gets the state before it."""
        for row, state in self._world.states_of(credential, found).items():  # type: ignore[arg-type]
            assert state >= told[row], (credential, row)


async def test_no_interleaving_of_loads_and_changes_brings_back_what_was() -> None:
    """ID4: keys made, changed and revoked, people's roles and ends, tenants' plans, all of it reset; refusals too."""
    for seed in range(_RACES):
        race = _Race(seed)
        await race.run()
        assert race.asked == 9
