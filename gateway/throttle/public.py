"""Rate limits of public routes by client address: SlowAPI's decorator with our error and each worker's share."""

from collections.abc import Awaitable, Callable
from functools import wraps
from time import time
from typing import Any, ParamSpec, TypeVar, cast

from fastapi import Request
from limits import RateLimitItemPerSecond
from slowapi import Limiter
from slowapi.errors import RateLimitExceeded

from gateway.throttle.account import whole_seconds
from tenants.errors import RateLimited

_Arguments = ParamSpec("_Arguments")
_Answer = TypeVar("_Answer")
_Endpoint = Callable[..., Awaitable[Any]]


class PublicLimiter(Limiter):
    """The counters of one application's public routes.

    They are in this process: the Redis storage of ``limits`` would block the event loop. Each worker enforces its share
    of a limit, so that all together admit at most the limit (and at least one request a worker).
    """

    def __init__(self, source: Callable[[Request], str], workers: int) -> None:
        """``source`` maps a request to its source: an IPv4 address, or the /64 of an IPv6 one (TH3)."""

        def by_source(request: Request) -> str:  # SlowAPI passes the request to a parameter of this name only
            return source(request)

        super().__init__(key_func=by_source, storage_uri="memory://", strategy="moving-window", key_style="endpoint")
        self.enabled = True  # SlowAPI reads RATELIMIT_ENABLED: the environment must not turn limits off
        self._headers_enabled = False
        self._workers = workers
        self._limited: dict[_Endpoint, _Endpoint] = {}

    def limited(self, endpoint: _Endpoint, quota: int, seconds: int) -> _Endpoint:
        """The endpoint wrapped in SlowAPI's decorator, cached."""
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
                "Too many requests from this address. Retry after the number of seconds in the Retry-After header.",
                detail=str(exceeded),
                retry_after=whole_seconds(reset - time()),
            ) from exceeded


def per_sender(
    quota: int, *, seconds: int
) -> Callable[[Callable[_Arguments, Awaitable[_Answer]]], Callable[_Arguments, Awaitable[_Answer]]]:
    """Allow at most ``quota`` requests of this endpoint in any ``seconds`` from one source; then raise RateLimited.

    The endpoint is asynchronous and takes ``request``. The counters belong to the application that it runs in
    (``app.state.public_limiter``), so that two applications can share a module's router.
    """

    def decorate(endpoint: Callable[_Arguments, Awaitable[_Answer]]) -> Callable[_Arguments, Awaitable[_Answer]]:
        @wraps(endpoint)
        async def limited(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Answer:
            request = cast("Request", named["request"])
            limiter: PublicLimiter = request.app.state.public_limiter
            return cast("_Answer", await limiter.limited(endpoint, quota, seconds)(*arguments, **named))

        return limited

    return decorate
