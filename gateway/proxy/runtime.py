"""What all proxied requests of a worker share, and how the application of a route is put together from it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from starlette.types import ASGIApp

from gateway.proxy.compiled import CompiledRoute, MakeApp, unavailable
from tenants.routes.schemas import Configuration, RouteSpec


@dataclass(frozen=True, slots=True)
class Proxy:
    """One per worker process."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start what works in the background; close it when the last request has ended."""
        async with AsyncExitStack():
            yield

    def prepare(self, _configuration: Configuration) -> MakeApp:
        """Make or keep the upstreams of this configuration, for the applications of its routes."""

        def make_app(spec: RouteSpec, _previous: CompiledRoute | None) -> ASGIApp:
            return unavailable(f"route {spec.name}: nothing forwards it yet")

        return make_app
