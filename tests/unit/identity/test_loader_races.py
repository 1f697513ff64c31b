"""Loads raced against every kind of change, in thousands of interleavings."""

import asyncio
import os
from collections.abc import Awaitable
from uuid import UUID

import pytest

from tests.unit.identity.cache_model import REVOKED, CacheModel, Credential, Pauses, key_of, token_of

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
    """Five credentials of two tenants, more than the cache holds; their rows change while callers load them."""

    def __init__(self, seed: int) -> None:
        self._pause = Pauses(seed, _turn)
        self._choice = self._pause.choice
        self._model = CacheModel(_CREDENTIALS, self._pause, size=3)
        self._changing = True
        self.loads = 0

    async def run(self) -> None:
        await asyncio.gather(self._change(), self._tell(), *(self._ask() for _ in range(3)))
        credential = self._choice.choice(_CREDENTIALS)
        self._check(credential, self._model.rows, await self._model.find(credential))
        assert not len(self._model.loader)

    async def _change(self) -> None:
        for _ in range(4):
            await self._pause()
            row = self._choice.choice(list(self._model.rows))
            if self._model.rows[row] < REVOKED:
                self._model.commit(row)
        self._changing = False

    async def _tell(self) -> None:
        while self._changing or self._model.notified != self._model.rows:
            await _turn()
            await self._pause()
            await self._next()

    async def _next(self) -> None:
        chance = self._choice.random()
        if chance > 0.8:
            self._model.lose()
            await self._pause()
            self._model.regain()
        else:
            self._model.tell(reset=chance < 0.1)

    async def _ask(self) -> None:
        for _ in range(3):
            await self._pause()
            credential, answered = self._choice.choice(_CREDENTIALS), dict(self._model.answered)
            self._check(credential, answered, await self._model.find(credential))
            self.loads += 1

    def _check(self, credential: Credential, answered: dict[str, int], found: object) -> None:
        """A caller that asks after a change was answered never gets the state before it."""
        for row, state in self._model.states_of(credential, found).items():  # type: ignore[arg-type]
            assert state >= answered[row], (credential, row)


async def test_no_interleaving_of_loads_and_changes_restores_an_old_state() -> None:
    """ID4, ID14: keys, users' roles, tenants' plans; resets, a lost channel; refusals too."""
    for seed in range(_RACES):
        race = _Race(seed)
        await race.run()
        assert race.loads == 9
