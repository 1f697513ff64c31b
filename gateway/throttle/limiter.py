"""SlowAPI's limiter with its check replaced: the windows of a plan are resolved once, not at every request."""

from collections.abc import Callable
from time import monotonic
from typing import Any, cast

from slowapi import Limiter

from gateway.request_context import Header, RequestContext
from gateway.throttle.account import Account, whole_seconds
from gateway.throttle.errors import RateLimited
from gateway.throttle.settings import ThrottleSettings
from gateway.throttle.storage import LeasedStorage, storage_uri
from gateway.throttle.windows import window_set
from tenants.principal import Principal, Window


class PlanLimiter(Limiter):
    """Charges a request to every window of its tenant's plan, or to none.

    ``account`` finds what is charged, ``lease`` awaits Redis where ``can_decide`` says that nothing is at hand, and
    ``check`` spends: a warm request waits for nothing. SlowAPI's own check would parse limit strings and inspect
    signatures each time, and call Redis on the event loop.
    """

    def __init__(self, settings: ThrottleSettings) -> None:
        super().__init__(
            key_func=_nobody,
            storage_uri=storage_uri(settings),
            storage_options={
                "workers": str(settings.workers),
                "deadline_seconds": str(settings.deadline_seconds),
                "connections": str(settings.connections),
            },
        )
        self.enabled = True  # SlowAPI reads RATELIMIT_ENABLED: nobody's environment may open the gate
        self._leased = cast("LeasedStorage", self._storage)
        self._refills = self._leased.refills

    async def start(self) -> None:
        """To be awaited before the first request."""
        await self._leased.start()

    async def close(self) -> None:
        """To be awaited after the last request."""
        await self._leased.close()

    def account(self, principal: Principal, windows: tuple[Window, ...]) -> Account | None:
        """What a request under a plan with these windows is charged to; None when nothing limits it."""
        own = principal.windows
        name = principal.tenant.schema if not own else f"{principal.tenant.schema}:{principal.id.hex}"
        account = self._leased.find(name)
        if account is None or account.plan is not windows or account.own is not own:
            account = self._resolve(account, name, principal, windows)
        if account is not None:
            account.touched = True
        return account

    def can_decide(self, account: Account, cost: int = 1) -> bool:
        """Whether ``check`` can decide at once, as for a warm request it can; else ``lease`` must be awaited before."""
        return account.at_hand(monotonic(), cost)

    async def lease(self, account: Account, cost: int = 1) -> None:
        """Return when ``check`` can decide: after Redis has answered, or was silent for too long."""
        await self._refills.lease(account, cost)

    def check(self, request: RequestContext) -> None:
        """Spend what the request's route costs from its account, and add the header fields, refused or not.

        Raises RateLimited.
        """
        self._check_request_limit(request, None)

    def _check_request_limit(
        self,
        request: Any,  # a RequestContext; SlowAPI's own decorator would pass a Request
        endpoint_func: Callable[..., Any] | None,  # noqa: ARG002 - limits come with the principal, not with a function
        in_middleware: bool = True,  # noqa: ARG002, FBT001, FBT002 - SlowAPI's own signature
    ) -> None:
        account: Account = request.account
        fields: list[Header] = request.response_headers
        cost, now = request.route.cost, monotonic()
        fields.append(account.policy_field)
        if not self._leased.spend(account, now, cost):
            raise self._refusal(account, fields, now, cost)
        fields.append(account.limit_field() if self._refills.answering else account.share_field(now))

    def _refusal(self, account: Account, fields: list[Header], now: float, cost: int) -> RateLimited:
        if self._refills.answering:
            fields.append(account.refused_field(now))
            wait = account.wait(now)
        else:
            fields.append(account.share_field(now))
            wait = max(account.share.waits(now, cost))
        return RateLimited(detail=f"account {account.name}", retry_after=whole_seconds(wait))

    def _resolve(
        self, account: Account | None, name: str, principal: Principal, windows: tuple[Window, ...]
    ) -> Account | None:
        """The slow way: first request, or a plan that changed, in force with the very request that brings it."""
        together = window_set(windows, principal.windows)
        if together is None:
            return None
        if account is None or account.windows != together:
            account = self._leased.open(name, principal, together)
        account.plan, account.own = windows, principal.windows
        return account


def _nobody() -> str:
    """SlowAPI asks for a key function; accounts are found by principal instead."""
    return ""
