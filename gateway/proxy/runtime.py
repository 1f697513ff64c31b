"""What all proxied requests of a worker share, and how the application of a route is put together from it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.proxy.cache.route import with_cache
from gateway.proxy.cache.store import ResponseCache
from gateway.proxy.compiled import Parts
from gateway.proxy.forwarded import ClientFields
from gateway.proxy.forwarder import Forwarder
from gateway.proxy.identity import IdentityTokens
from gateway.proxy.spans import SpannedRoute, Spans
from gateway.proxy.targets.upstream import Upstream
from gateway.proxy.targets.upstreams import Upstreams
from gateway.proxy.tracing import TraceContext
from gateway.proxy.websocket.relay import Upgradable, WebSocketRelay
from gateway.proxy.websocket.sockets import OpenSockets
from tenants.errors import NotFound
from tenants.routes.schemas import Configuration, RouteSpec


@dataclass(frozen=True, slots=True)
class Proxy:
    """One per worker process."""

    upstreams: Upstreams
    identity: IdentityTokens
    client_fields: ClientFields
    traces: TraceContext
    cache: ResponseCache
    sockets: OpenSockets
    spans: Spans | None = None  # off

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start what works in the background; close it when the last request has ended."""
        async with AsyncExitStack() as stack:
            await self.upstreams.start()
            stack.push_async_callback(self.upstreams.close)
            stack.push_async_callback(self.cache.close)
            if self.spans is not None:
                stack.push_async_callback(self.spans.close)
            yield

    def prepare(self, configuration: Configuration) -> "RouteApps":
        """Put the upstreams of this configuration in force, for the applications of its routes."""
        cached = any(each.cache is not None for each in configuration.routes)
        return RouteApps(self, self.upstreams.apply(configuration.upstreams), cached)


@dataclass(frozen=True, slots=True)
class RouteApps:
    """Makes the applications of the routes of one configuration."""

    proxy: Proxy
    upstreams: Mapping[str, Upstream]
    cached: bool  # a route has a cache, so that changes by other routes concern it

    def parts_of(self, spec: RouteSpec) -> Parts:
        """What the application is made of beside the route."""
        return self.upstreams.get(spec.upstream or ""), self.cached and spec.cache is None

    def make(self, spec: RouteSpec) -> ASGIApp:
        """From the inside out: forwarding, cache, WebSockets. Raises OSError and ValueError for files of the route."""
        if spec.upstream is None:
            return _only_decided
        forwarder = Forwarder(spec, self.upstreams[spec.upstream], self.proxy)
        app = with_cache(forwarder, spec, self.proxy.cache, invalidates=self.cached)
        if spec.websocket is not None:
            app = Upgradable(app, WebSocketRelay(spec.websocket, forwarder, self.proxy.sockets))
        return app if self.proxy.spans is None else SpannedRoute(app, self.proxy.spans)


async def _only_decided(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """A route without an upstream is one that a proxy asks about: ``/authorize``, and ``verify``."""
    raise NotFound
