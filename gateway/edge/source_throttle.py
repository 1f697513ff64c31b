"""Failed credentials cost the sender: past a bound, a source is refused before any hash or database work (TH4).

Credentials that were good a moment ago still pass, so that a neighbour behind the same address, or a client that also
sends bad ones, is not shut out. They are recognised by Python's keyed 64-bit hash of the header's value, which says
nothing of the value, grants nothing (identity still decides), and is forgotten with the process.
"""

import math
import time
from collections.abc import Callable
from typing import TypeVar

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.edge.source import source_bucket
from gateway.request_context import context_of
from gateway.throttle.errors import RateLimited
from tenants.credentials import CredentialMissing
from tenants.errors import ErrorKind, TenantryError

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

_CREDENTIALS = frozenset({b"authorization", b"x-api-key"})


class SourceThrottleStage:
    """Allows ``failures`` failed credentials in any ``seconds`` to each source; then raises RateLimited.

    A generic cell rate algorithm: one number for each source, the time at which its failures will be forgotten.
    At most ``remembered`` sources and as many good credentials are kept, the oldest forgotten first.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        failures: int = 100,
        seconds: float = 60.0,
        remembered: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._interval = seconds / failures
        self._window = seconds
        self._remembered = remembered
        self._clock = clock
        self._forgotten_at: dict[str, float] = {}
        self._good: dict[int, None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = _credential(scope) if scope["type"] == "http" else None
        if sent is None:
            await self._app(scope, receive, send)
            return
        context = context_of(scope)
        if self._forgotten_at and sent not in self._good:
            self._refuse_repeated_failures(source_bucket(context.client))
        try:
            await self._app(scope, receive, send)
        except TenantryError as error:
            if error.kind is ErrorKind.UNAUTHENTICATED and not isinstance(error, CredentialMissing):
                self._good.pop(sent, None)
                self._count_failure(source_bucket(context.client))
            raise
        if sent not in self._good and (context.principal or context.operator):
            _keep(self._good, sent, None, self._remembered)

    def _refuse_repeated_failures(self, source: str) -> None:
        room_in = self._forgotten_at.get(source, 0.0) + self._interval - self._clock() - self._window
        if room_in > 0:
            raise RateLimited("Too many failed credentials from this address.", retry_after=math.ceil(room_in))

    def _count_failure(self, source: str) -> None:
        until = max(self._forgotten_at.pop(source, 0.0), self._clock()) + self._interval
        _keep(self._forgotten_at, source, until, self._remembered)


def _keep(kept: dict[_Key, _Value], key: _Key, value: _Value, most: int) -> None:
    if len(kept) >= most:
        del kept[next(iter(kept))]
    kept[key] = value


def _credential(scope: Scope) -> int | None:
    sent = [value for name, value in scope["headers"] if name in _CREDENTIALS]
    return hash(tuple(sent)) if sent else None
