"""Screens attempts to sign in, many with one read, before any of them is given a transaction.

In a flood nearly every attempt has to be refused. Alone, each took a transaction of some ten round trips to find that
out, and these transactions kept the event loop and the database busy. Here the limits of all waiting attempts are read
with two statements, which change nothing: those that must wait are refused, and the others learn their lane, so that
a person at a usual place is served in turn with strangers, however many of these there are (docs/decisions/0046).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from tenants.database.sessions import Database
from tenants.database.statements import Work
from tenants.errors import Unavailable
from tenants.sign_in_limits import repository
from tenants.sign_in_limits.limits import AllowanceState, Decision, Lane, Source, decide

_BATCH = 64  # attempts of one read
_INTERVAL = 0.01  # seconds from the end of one read to the next while attempts keep coming
_MOST_WAITING = 1_000  # some 0.2 s
_READ_TIMEOUT = 2.0  # seconds


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys under which the limits of an attempt are stored."""

    account: bytes
    tenant: bytes
    turn: bytes
    failed: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """What an attempt says, and the hashes of where it comes from."""

    email: str
    slug: str
    source: Source
    place: bytes
    failed: bytes


@dataclass(frozen=True, slots=True)
class Screened:
    """What the limits said a moment ago: the attempt's lane, and what would be decided."""

    lane: Lane
    decision: Decision

    @property
    def is_refused(self) -> bool:
        """Whether the attempt must wait and nothing would be written: it needs no transaction to be told."""
        return bool(self.decision.wait) and self.decision.turn is None


# The keys of the attempt of this address, as the database compares it, in this lane.
FindKeys = Callable[[Claim, str, Lane], Keys]


class Screening:
    """One read is under way at a time; attempts that arrive meanwhile share the next one."""

    def __init__(self, database: Database, find_keys: FindKeys) -> None:
        self._database = database
        self._find_keys = find_keys
        self._waiting: deque[tuple[Claim, asyncio.Future[Screened]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def screen(self, claim: Claim) -> Screened:
        """Read the limits of this attempt. Raises Unavailable when too many wait, or the database does not answer."""
        if len(self._waiting) >= _MOST_WAITING:
            raise Unavailable(detail="too many sign-ins wait for their limits to be read")
        screened: asyncio.Future[Screened] = asyncio.get_running_loop().create_future()
        self._waiting.append((claim, screened))
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name="screen-sign-ins")
        return await screened

    async def _work(self) -> None:
        try:
            while batch := self._next_batch():
                await self._screen(batch)
                if len(self._waiting) < _BATCH:
                    await asyncio.sleep(_INTERVAL if self._waiting else 0)
        finally:
            self._task = None  # in the same step as the check for an empty queue

    def _next_batch(self) -> Sequence[tuple[Claim, asyncio.Future[Screened]]]:
        taken = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
        return [each for each in taken if not each[1].done()] or (self._next_batch() if self._waiting else ())

    async def _screen(self, batch: Sequence[tuple[Claim, asyncio.Future[Screened]]]) -> None:
        outcome: Sequence[Screened] | Exception
        try:
            async with asyncio.timeout(_READ_TIMEOUT):
                outcome = await self._read(self._database.control_reads, [claim for claim, _ in batch])
        except TimeoutError:
            outcome = Unavailable(detail="the limits of a sign-in could not be read in time")
        except Exception as error:  # noqa: BLE001 - raised to every caller that waits
            outcome = error
        for number, (_, screened) in enumerate(batch):
            if screened.done():  # the caller has disconnected
                continue
            if isinstance(outcome, Exception):
                screened.set_exception(outcome)
            else:
                screened.set_result(outcome[number])

    async def _read(self, reads: Work, claims: Sequence[Claim]) -> list[Screened]:
        seen = await repository.screen(reads, claims)
        lanes = [lane_of(is_known_place=each.is_known_place, has_failed=each.has_failed) for each in seen]
        keys = [
            self._find_keys(claim, each.address, lane) for claim, each, lane in zip(claims, seen, lanes, strict=True)
        ]
        until = await repository.allowances(
            reads, [key for each in keys for key in (each.account, each.tenant, each.turn)]
        )
        return [
            Screened(lane, decide(_state(until, key, each.now)))
            for key, lane, each in zip(keys, lanes, seen, strict=True)
        ]


def lane_of(*, is_known_place: bool, has_failed: bool) -> Lane:
    """With whom an attempt waits."""
    if is_known_place:
        return Lane.PLACE
    return Lane.FAILED if has_failed else Lane.NEW


def _state(until: dict[bytes, datetime], keys: Keys, now: datetime) -> AllowanceState:
    return AllowanceState(now, until.get(keys.account, now), until.get(keys.tenant, now), until.get(keys.turn))
