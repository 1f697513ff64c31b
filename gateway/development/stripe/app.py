"""The stand-in as an ASGI application: the resources' endpoints over one state, with background tasks."""

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
from gateway.development.stripe.requests import RequestHandler, internal_error, unknown_route
from gateway.development.stripe.state import State
from gateway.development.stripe.subscription_lifecycle import pass_time

_RESOURCES = (customers, products, prices, subscriptions, events, webhook_endpoints)
_TICK = 1.0  # seconds between updates of the subscriptions
_DELIVERY_TIMEOUT = 10.0  # seconds for a webhook endpoint's response


@dataclass(frozen=True, slots=True)
class StandInSettings:
    """The configuration of a stand-in."""

    state: Path  # the journal file
    api_key: str  # the one secret key, sk_test_…
    retries: RetrySchedule = field(default_factory=RetrySchedule)
    clock: Callable[[], float] = time.time  # seconds since the epoch


def create_stand_in(settings: StandInSettings) -> Starlette:
    """The application. It reads its state when it starts to serve and closes it when it stops."""
    state = State(settings.state, settings.clock)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        # trust_env off: a proxy configured on the machine must not be used for loopback.
        async with httpx.AsyncClient(timeout=_DELIVERY_TIMEOUT, trust_env=False) as client:
            tasks = [
                asyncio.create_task(Deliverer(state, settings.retries, client).run()),
                asyncio.create_task(_update_periodically(state)),
            ]
            yield
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        state.close()

    app = Starlette(
        routes=_routes(state, settings.api_key),
        lifespan=lifespan,
        exception_handlers={404: unknown_route, 405: unknown_route, Exception: internal_error},
    )
    app.router.redirect_slashes = False  # Stripe does not redirect
    return app


def _routes(state: State, api_key: str) -> list[Route]:
    return [
        Route(f"/v1{each.path}", RequestHandler(each, state, api_key).handle, methods=[each.method])
        for resource in _RESOURCES
        for each in resource.ENDPOINTS
    ]


async def _update_periodically(state: State) -> None:
    while True:
        with state.change() as change:
            pass_time(change)
        await asyncio.sleep(_TICK)
