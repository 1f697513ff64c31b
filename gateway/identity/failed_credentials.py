"""Bounds what failed credentials cost: past a limit, the unknown credentials of a source wait for turns (TH4, TH12).

Guessing means different credentials. One that failed before is counted once for its source, so that a client that
repeats a revoked key uses up nothing of its neighbours' allowance, and one that was good a moment ago needs no turn.
Past the limit an unknown credential is still checked, at a bounded pace, and refused only for itself.

Credentials are recognised by Python's keyed 64-bit hash of the header value, which reveals nothing, grants nothing (the
identity stage still decides) and is lost with the process.
"""

import math
import time
from collections.abc import Callable, Hashable
from functools import partial
from typing import TypeVar

from gateway.identity.turns import Turn, Turns
from gateway.request.source import source_bucket
from tenants.credentials import CredentialInvalid
from tenants.errors import RateLimited, TenantryError

MESSAGE = "Too many failed credentials from this address. Retry after the number of seconds in the Retry-After header."

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class FailedCredentials:
    """Allows ``failures`` different failed credentials in any ``seconds`` to each source.

    A generic cell rate algorithm: one number for each source, the time at which its failures are forgotten. At most
    ``capacity`` sources, good and failed credentials are kept; the one that was not used for longest is dropped first.
    """

    def __init__(
        self,
        *,
        failures: int = 100,
        seconds: float = 60.0,
        capacity: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interval = seconds / failures
        self._window = seconds
        self._capacity = capacity
        self._clock = clock
        self._turns = Turns()
        self._sources: dict[str, float] = {}  # when their failures are forgotten
        self._failed: dict[int, None] = {}  # by source and credential: counted already
        self._good: dict[int, None] = {}

    def turn(self, source: str, sent: bytes) -> Turn | None:
        """What this credential, whose refusal is not known, has to wait for before it is checked; None is nothing."""
        bucket = source_bucket(source)
        if self._wait(bucket) <= 0 or hash(sent) in self._good:
            return None
        return partial(self._wait_for_turn, bucket)

    def refused(self, source: str, sent: bytes, error: TenantryError) -> TenantryError:
        """Count a failed credential, and return what to answer: past the limit RateLimited for a guess.

        A credential that has expired or was revoked is no guess: it is always told so.
        """
        self._good.pop(hash(sent), None)
        bucket = source_bucket(source)
        known, wait = hash((bucket, sent)), self._wait(bucket)
        if known in self._failed:
            _put(self._failed, known, None, self._capacity)
            return error
        if wait > 0:
            return RateLimited(MESSAGE, retry_after=math.ceil(wait)) if isinstance(error, CredentialInvalid) else error
        _put(self._failed, known, None, self._capacity)
        until = max(self._sources.get(bucket, 0.0), self._clock()) + self._interval
        _put(self._sources, bucket, until, self._capacity)
        return error

    def record_success(self, sent: bytes) -> None:
        """Record a good credential."""
        _put(self._good, hash(sent), None, self._capacity)

    async def _wait_for_turn(self, bucket: str, kind: Hashable) -> None:
        # In queues of their own, so that a flood of keys delays no token of the same source.
        if not await self._turns.wait((bucket, kind)):
            raise RateLimited(MESSAGE, retry_after=max(1, math.ceil(self._wait(bucket))))

    def _wait(self, bucket: str) -> float:
        """Seconds until another failure is allowed."""
        return self._sources.get(bucket, 0.0) + self._interval - self._clock() - self._window


def _put(kept: dict[_Key, _Value], key: _Key, value: _Value, capacity: int) -> None:
    """Store as the latest, and drop the oldest beyond the capacity."""
    kept.pop(key, None)
    if len(kept) >= capacity:
        del kept[next(iter(kept))]
    kept[key] = value
