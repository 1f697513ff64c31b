"""Attempts to sign in: each is charged before its password is checked, and a good one gets its charge back."""

import hmac
import math
from dataclasses import dataclass
from hashlib import sha256

from tenants.database.sessions import ControlSession, Database
from tenants.errors import RateLimited
from tenants.fair_queue import FairSlots
from tenants.identifiers import TenantId, UserId
from tenants.sign_in import repository
from tenants.sign_in.limits import ACCOUNT, FAILURE_LIFE, TENANT, TURN_LIFE, Lane, Source, decide
from tenants.sign_in.repository import Account

_AT_ONCE = 2  # transactions of a process: the others of its connections serve other requests
_MOST_WAITING = 1_000
_MOST_WAITING_OF_ONE = 64
_LONGEST_WAIT = 2.0  # seconds
_PURPOSE = b"tenantry sign-in limits 1"
_KEY_BYTES = 16


class SignInDelayed(RateLimited):
    """Too many wrong passwords for this account or in this tenant. The attempt is admitted after ``retry_after``."""

    message = "Too many failed attempts to sign in. Retry later."


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys under which the limits of an attempt are stored."""

    account: bytes
    tenant: bytes
    turn: bytes
    failed: bytes


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
        self._slots = FairSlots(
            _AT_ONCE, most=_MOST_WAITING, most_of_one=_MOST_WAITING_OF_ONE, longest_wait=_LONGEST_WAIT
        )

    async def begin(self, email: str, slug: str, source: Source) -> Attempt:
        """Charge an attempt. Raises SignInDelayed when it must wait; RateLimited and Unavailable in a flood."""
        async with self._slots.held(source.address), self._database.control() as session:
            outcome = await self._charged(session, email, slug, source)
        if isinstance(outcome, SignInDelayed):
            raise outcome  # after the transaction: the turn that it was given is committed
        return outcome

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

    async def _charged(self, session: ControlSession, email: str, slug: str, source: Source) -> Attempt | SignInDelayed:
        place, failed = self.place_of(source), self._digest("failed", source.network)
        account = await repository.find_account(session, email, slug, place=place, failed=failed)
        lane = Lane.PLACE if account.is_known_place else Lane.FAILED if account.has_failed else Lane.NEW
        keys = self._keys(account.address, slug, source, lane, failed)
        await repository.lock_limits(session, keys.account, keys.tenant)
        state = await repository.read_limits(session, keys.account, keys.tenant, keys.turn)
        decision = decide(state)
        if decision.is_charged:
            await repository.charge(session, keys.account, ACCOUNT.interval)
            await repository.charge(session, keys.tenant, TENANT.interval)
        if decision.turn is not None:
            await repository.remember(session, keys.turn, decision.turn)
        if decision.wait:
            return SignInDelayed(retry_after=math.ceil(decision.wait.total_seconds()))
        if not decision.is_charged:
            await repository.forget(session, keys.turn)  # used
        if lane is Lane.NEW:
            await repository.remember(session, failed, state.now + FAILURE_LIFE)
        return Attempt(account, lane, keys, place)

    async def _give_back(self, session: ControlSession, attempt: Attempt) -> None:
        keys = attempt.keys
        await repository.give_back(session, keys.account, ACCOUNT.interval)
        await repository.give_back(session, keys.tenant, TENANT.interval)
        if attempt.lane is Lane.NEW:
            await repository.forget(session, keys.failed)

    def _keys(self, address: str, slug: str, source: Source, lane: Lane, failed: bytes) -> Keys:
        # A place is a lane of its own. A turn is kept by a source whose lane changes while it waits.
        own = f"{lane} {source.address}" if lane is Lane.PLACE else lane.value
        return Keys(
            account=self._digest("account", own, slug, address),
            tenant=self._digest("tenant", own, slug),
            turn=self._digest("turn", slug, address, source.address),
            failed=failed,
        )

    def _digest(self, *parts: str) -> bytes:
        # No part contains NUL: requests with control characters are refused.
        return hmac.digest(self._key, "\0".join(parts).encode(), sha256)[:_KEY_BYTES]


async def forget_old_limits(database: Database) -> None:
    """Delete what limits no sign-in any more."""
    async with database.control() as session:
        await repository.delete_old_limits(session, TURN_LIFE)
        await repository.delete_old_places(session)
