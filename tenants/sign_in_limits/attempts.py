"""Attempts to sign in: each is charged before its password is checked, and a good one gets its charge back."""

import hmac
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256

from tenants.database.sessions import ControlSession, Database
from tenants.errors import RateLimited
from tenants.fair_queue import FairSlots
from tenants.identifiers import TenantId, UserId
from tenants.sign_in_limits import repository
from tenants.sign_in_limits.limits import ACCOUNT, FAILURE_LIFE, TENANT, TURN_LIFE, Decision, Lane, Source, decide
from tenants.sign_in_limits.repository import Account
from tenants.sign_in_limits.screening import Claim, Keys, Screening, lane_of

_AT_ONCE = 3  # of a process: one more than passwords that are hashed at once, so that the next one is charged meanwhile
_MOST_WAITING = 256  # of one lane
_MOST_WAITING_OF_ONE = 64
_LONGEST_WAIT = 3.0  # seconds (OP3): some 240 sign-ins of a worker
_PURPOSE = b"tenantry sign-in limits 1"
_KEY_BYTES = 16


class SignInDelayed(RateLimited):
    """Too many wrong passwords for this account or in this tenant. The attempt is admitted after ``retry_after``."""

    message = "Too many failed attempts to sign in. Retry later."


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that was admitted and charged."""

    account: Account
    lane: Lane
    keys: Keys
    place: bytes  # where it comes from


class SignInAttempts:
    """The counts are in the database, so they hold for all workers and hosts (``limits.py`` has the rules)."""

    def __init__(self, database: Database, secret: bytes) -> None:
        """``secret`` is the key of the hashes under which accounts, tenants and sources are stored."""
        self._database = database
        self._key = hmac.digest(secret, _PURPOSE, sha256)
        self._screening = Screening(database, self._keys)
        self._slots = FairSlots(
            _AT_ONCE, most=_MOST_WAITING, most_of_one=_MOST_WAITING_OF_ONE, longest_wait=_LONGEST_WAIT
        )

    @asynccontextmanager
    async def begun(self, email: str, slug: str, source: Source) -> AsyncIterator[Attempt]:
        """Charge an attempt, whose password is checked in the block.

        An attempt that must wait anyway is refused without a transaction. The others hold one of a few slots until the
        block ends, so that no more are charged than passwords can be hashed, and take turns by lane and by source.
        Raises SignInDelayed when it must wait; RateLimited and Unavailable in a flood.
        """
        claim = Claim(email, slug, source, self.place_of(source), self._digest("failed", source.network))
        screened = await self._screening.screen(claim)
        if screened.is_refused:
            raise _delayed(screened.decision)
        async with self._slots.held(source.address, screened.lane):
            async with self._database.control() as session:
                outcome = await self._charged(session, claim)
            if isinstance(outcome, SignInDelayed):
                raise outcome  # after the transaction: the turn that it was given is committed
            yield outcome

    async def undo(self, attempt: Attempt) -> None:
        """Give the charge back: no password was checked."""
        async with self._database.control() as session:
            await self._give_back(session, attempt)

    async def succeeded(self, session: ControlSession, attempt: Attempt) -> None:
        """Give the charge back: the password was right."""
        await self._give_back(session, attempt)

    async def remember(self, session: ControlSession, user: UserId, tenant: TenantId, source: Source) -> None:
        """Remember where the person has signed in from: completely, with the second factor that they have."""
        await repository.remember_place(session, user, tenant, self.place_of(source))

    def place_of(self, source: Source) -> bytes:
        """The hash under which a source is stored as a place."""
        return self._digest("source", source.address)

    async def _charged(self, session: ControlSession, claim: Claim) -> Attempt | SignInDelayed:
        account = await repository.find_account(
            session, claim.email, claim.slug, place=claim.place, failed=claim.failed
        )
        lane = lane_of(is_known_place=account.is_known_place, has_failed=account.has_failed)
        keys = self._keys(claim, account.address, lane)
        await repository.lock_limits(session, keys.account, keys.tenant)
        state = await repository.read_limits(session, keys.account, keys.tenant, keys.turn)
        decision = decide(state)
        if decision.is_charged:
            await repository.charge(session, (keys.account, ACCOUNT.interval), (keys.tenant, TENANT.interval))
        if decision.turn is not None:
            await repository.remember(session, keys.turn, decision.turn)
        if decision.wait:
            return _delayed(decision)
        if not decision.is_charged:
            await repository.forget(session, keys.turn)  # used
        if lane is Lane.NEW:
            await repository.remember(session, keys.failed, state.now + FAILURE_LIFE)
        return Attempt(account, lane, keys, claim.place)

    async def _give_back(self, session: ControlSession, attempt: Attempt) -> None:
        keys = attempt.keys
        await repository.give_back(session, keys.account, ACCOUNT.interval)
        await repository.give_back(session, keys.tenant, TENANT.interval)
        if attempt.lane is Lane.NEW:
            await repository.forget(session, keys.failed)

    def _keys(self, claim: Claim, address: str, lane: Lane) -> Keys:
        # A place is a lane of its own. A turn is kept by a source whose lane changes while it waits.
        slug, source = claim.slug, claim.source.address
        own = f"{lane} {source}" if lane is Lane.PLACE else lane.value
        return Keys(
            account=self._digest("account", own, slug, address),
            tenant=self._digest("tenant", own, slug),
            turn=self._digest("turn", slug, address, source),
            failed=claim.failed,
        )

    def _digest(self, *parts: str) -> bytes:
        # No part contains NUL: requests with control characters are refused.
        return hmac.digest(self._key, "\0".join(parts).encode(), sha256)[:_KEY_BYTES]


def _delayed(decision: Decision) -> SignInDelayed:
    return SignInDelayed(retry_after=math.ceil(decision.wait.total_seconds()))


async def forget_old_limits(database: Database) -> None:
    """Delete what limits no sign-in any more."""
    async with database.control() as session:
        await repository.delete_old_limits(session, TURN_LIFE)
        await repository.delete_old_places(session)
