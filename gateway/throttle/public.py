"""Limits for public routes, by sender: SlowAPI's decorator, with our error and each worker's share."""

from collections.abc import Awaitable, Callable
from functools import wraps
from time import time
from typing import Any, ParamSpec, TypeVar, cast

from fastapi import Request
from limits import RateLimitItemPerSecond
from slowapi import Limiter
from slowapi.errors import RateLimitExceeded

from gateway.throttle.account import whole_seconds
from gateway.throttle.errors import RateLimited

_Arguments = ParamSpec("_Arguments")
_Answer = TypeVar("_Answer")
_Endpoint = Callable[..., Awaitable[Any]]


class PublicLimiter(Limiter):
    """One application's counters of its public routes.

    They are kept in this process: the storage of ``limits`` for Redis would block the event loop. So each worker counts
    its share of a limit, and all of them together give at most the limit (at least one request a worker).
    """

    def __init__(self, sender: Callable[[Request], str], workers: int) -> None:
        """``sender`` tells what is counted as one source: an address, or the /64 of an IPv6 one (TH3)."""

        def by_sender(request: Request) -> str:  # SlowAPI passes the request to a parameter of this name only
            return sender(request)

        super().__init__(key_func=by_sender, storage_uri="memory://", strategy="moving-window", key_style="endpoint")
        self.enabled = True  # SlowAPI reads RATELIMIT_ENABLED: nobody's environment may open the gate
        self._headers_enabled = False
        self._workers = workers
        self._limited: dict[_Endpoint, _Endpoint] = {}

    def limited(self, endpoint: _Endpoint, quota: int, seconds: int) -> _Endpoint:
        """The endpoint in SlowAPI's decorator, put on once."""
        known = self._limited.get(endpoint)
        if known is None:
            share = RateLimitItemPerSecond(max(1, quota // self._workers), seconds)
            known = self._limited[endpoint] = cast("_Endpoint", self.limit(str(share))(endpoint))
        return known

    def _check_request_limit(
        self,
        request: Request,
        endpoint_func: Callable[..., Any] | None,
        in_middleware: bool = True,  # noqa: FBT001, FBT002 - SlowAPI's own signature
    ) -> None:
        try:
            super()._check_request_limit(request, endpoint_func, in_middleware)
        except RateLimitExceeded as exceeded:
            item, identifiers = request.state.view_rate_limit
            reset = self.limiter.get_window_stats(item, *identifiers).reset_time
            raise RateLimited(
                "Too many requests from this address.", detail=str(exceeded), retry_after=whole_seconds(reset - time())
            ) from exceeded


def per_sender(
    quota: int, *, seconds: int
) -> Callable[[Callable[_Arguments, Awaitable[_Answer]]], Callable[_Arguments, Awaitable[_Answer]]]:
    """Allow a sender at most ``quota`` requests of this endpoint in any ``seconds``; then RateLimited.

    The endpoint is asynchronous and takes ``request``. The counters are those of the application that it runs in
    (``app.state.public_limiter``), so that a module's router does not tie two applications together.
    """

    def decorate(endpoint: Callable[_Arguments, Awaitable[_Answer]]) -> Callable[_Arguments, Awaitable[_Answer]]:
        @wraps(endpoint)
        async def limited(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Answer:
            request = cast("Request", named["request"])
            limiter: PublicLimiter = request.app.state.public_limiter
            return cast("_Answer", await limiter.limited(endpoint, quota, seconds)(*arguments, **named))

        return limited

    return decorate
