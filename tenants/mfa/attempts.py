"""Attempts to prove a second factor, or a password once more: each is charged first, and a good one gets it back.

As with sign-ins (``tenants/sign_in_limits/limits.py``), nobody is locked out: beyond the allowance an attempt gets a
turn. It is smaller than that of passwords, since a code has six digits. A place from which the person has signed in
completely has an allowance of its own, so that a stranger who knows the password does not delay the person there.
"""

import hmac
import math
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256

from tenants.database.sessions import ControlSession
from tenants.identifiers import TenantId, UserId
from tenants.mfa import repository
from tenants.mfa.errors import MfaDelayed
from tenants.sign_in_limits import repository as limits
from tenants.sign_in_limits.attempts import SignInAttempts
from tenants.sign_in_limits.limits import Allowance, Source, decide

# Three codes of a million are good at a time: 1,440 guesses a day find one with a probability of 0.4 %.
ALLOWANCE = Allowance(attempts=5, interval=timedelta(seconds=60))
_PURPOSE = b"tenantry second factor limits 1"
_KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class FactorAttempt:
    """An attempt that was admitted and charged."""

    key: bytes
    source: Source


class FactorAttempts:
    """The counts are in the database, so they hold for all workers and hosts."""

    def __init__(self, places: SignInAttempts, secret: bytes) -> None:
        """``secret`` is the key of the hashes under which people and sources are stored."""
        self._places = places
        self._key = hmac.digest(secret, _PURPOSE, sha256)

    async def begin(self, session: ControlSession, user: UserId, source: Source) -> FactorAttempt | MfaDelayed:
        """Charge an attempt in a transaction that the caller commits, whatever the result."""
        is_known = await repository.is_place_of(session, user, self._places.place_of(source))
        key = self._digest(user, f"place {source.address}" if is_known else "elsewhere")
        turn = self._digest(user, f"turn {source.address}")
        await limits.lock_limits(session, key, key)
        state = await limits.read_limits(session, key, key, turn)
        decision = decide(replace(state, tenant=state.now), ALLOWANCE)
        if decision.is_charged:
            await limits.charge(session, (key, ALLOWANCE.interval))
        if decision.turn is not None:
            await limits.remember(session, turn, decision.turn)
        if decision.wait:
            return MfaDelayed(retry_after=math.ceil(decision.wait.total_seconds()))
        if not decision.is_charged:
            await limits.forget(session, turn)  # used
        return FactorAttempt(key, source)

    async def succeeded(self, session: ControlSession, attempt: FactorAttempt) -> None:
        """Give the charge back."""
        await limits.give_back(session, attempt.key, ALLOWANCE.interval)

    async def remember(self, session: ControlSession, user: UserId, tenant: TenantId, source: Source) -> None:
        """Remember where the person has signed in from, once the sign-in is complete."""
        await self._places.remember(session, user, tenant, source)

    def _digest(self, user: UserId, what: str) -> bytes:
        return hmac.digest(self._key, user.bytes + what.encode(), sha256)[:_KEY_BYTES]
