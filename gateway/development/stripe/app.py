"""The stand-in as an ASGI application: the resources' endpoints over one state, with the tasks that run beside them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.routing import Route

from gateway.development.stripe import customers, events, prices, products, subscriptions, webhook_endpoints
from gateway.development.stripe.delivery import Deliverer, RetrySchedule
from gateway.development.stripe.requests import Answerer, internal_error, unknown_route
from gateway.development.stripe.state import State
from gateway.development.stripe.subscription_life import pass_time

_RESOURCES = (customers, products, prices, subscriptions, events, webhook_endpoints)
_TICK = 1.0  # seconds between two looks at the calendar
_DELIVERY_DEADLINE = 10.0  # seconds that a webhook endpoint is given to answer


@dataclass(frozen=True, slots=True)
class StandInSettings:
    """What one stand-in is told at start."""

    state: Path  # the journal file
    api_key: str  # the one secret key, sk_test_…
    retries: RetrySchedule = field(default_factory=RetrySchedule)
    clock: Callable[[], float] = time.time  # seconds since the epoch


def create_stand_in(settings: StandInSettings) -> Starlette:
    """The application. It reads its state when it starts to serve and closes it when it stops."""
    state = State(settings.state, settings.clock)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        # trust_env off: a proxy of the machine must not stand between us and loopback.
        async with httpx.AsyncClient(timeout=_DELIVERY_DEADLINE, trust_env=False) as client:
            beside = [
                asyncio.create_task(Deliverer(state, settings.retries, client).run()),
                asyncio.create_task(_keep_time(state)),
            ]
            yield
            for task in beside:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        state.close()

    app = Starlette(
        routes=_routes(state, settings.api_key),
        lifespan=lifespan,
        exception_handlers={404: unknown_route, 405: unknown_route, Exception: internal_error},
    )
    app.router.redirect_slashes = False  # Stripe knows no such address
    return app


def _routes(state: State, api_key: str) -> list[Route]:
    return [
        Route(f"/v1{each.path}", Answerer(each, state, api_key).answer, methods=[each.method])
        for resource in _RESOURCES
        for each in resource.ENDPOINTS
    ]


async def _keep_time(state: State) -> None:
    while True:
        with state.change() as change:
            pass_time(change)
        await asyncio.sleep(_TICK)
