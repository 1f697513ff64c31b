"""The runtime of one gateway process: the features, and what requests need beside them. In ``app.state``."""

import os
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import cast

from fastapi import Request

from billing.plans.cache import PlanCache
from gateway.authorization.authorizer import Authorizer
from gateway.authorization.entitlement import EntitlementStage
from gateway.authorization.stage import AuthorizationStage
from gateway.cors.origins import Origins
from gateway.features import Features, build_features
from gateway.health.loop_monitor import LoopMonitor
from gateway.identity.cache import Channel, PrincipalCache
from gateway.identity.credential_loader import CredentialLoader
from gateway.identity.database_lookup import DatabaseLookup
from gateway.identity.failed_credentials import FailedCredentials
from gateway.identity.principals import Principals
from gateway.identity.stage import IdentityStage
from gateway.identity.token_lookup import TokenLookup
from gateway.metrics.component_samples import (
    audit_samples,
    change_samples,
    decision_samples,
    identity_samples,
    loop_samples,
    pool_samples,
    throttle_samples,
    usage_samples,
)
from gateway.metrics.recorder import Metrics, Source
from gateway.metrics.requests import RequestMeter
from gateway.proxy.cache.samples import cache_samples
from gateway.proxy.cache.store import ResponseCache
from gateway.proxy.client.dialing import Dialer
from gateway.proxy.forwarded import ClientFields
from gateway.proxy.identity import IdentityTokens
from gateway.proxy.live import LiveRoutes
from gateway.proxy.runtime import Proxy
from gateway.proxy.samples import route_samples
from gateway.proxy.spans import SpanTraces, spans_of
from gateway.proxy.streams import OpenStreams
from gateway.proxy.targets.upstreams import Upstreams
from gateway.proxy.tracing import TraceContext
from gateway.proxy.websocket.sockets import OpenSockets
from gateway.request.entity_tags import EntityTags
from gateway.request.source import SourceReader
from gateway.settings import Settings
from gateway.throttle.limiter import RequestLimiter
from gateway.usage.recorder import UsageRecorder
from migrations.readiness import ControlRevision
from migrations.servable import Servable
from tenants.database.listener import ChangeListener
from tenants.database.sessions import Database
from tenants.outbound.addresses import AddressFilter
from tenants.resources.registry import Registry
from tenants.routes.service import Version

_FIRST_LISTEN = 5.0  # seconds that a start waits for PostgreSQL; without it we serve what needs none, and are not ready
_FIRST_LOAD = 2.0  # seconds more for the routes: until they are loaded, a worker knows no path of theirs


@dataclass(frozen=True, slots=True)
class Services:
    """Frozen: nothing is replaced while requests run."""

    settings: Settings
    features: Features
    listener: ChangeListener
    plan_cache: PlanCache
    origins: Origins
    control_revision: ControlRevision
    tags: EntityTags
    principals: Principals
    identity: IdentityStage
    lookup: DatabaseLookup
    token_lookup: TokenLookup
    limiter: RequestLimiter
    usage: UsageRecorder
    meter: RequestMeter
    watch: LoopMonitor
    metrics: Metrics
    proxy: Proxy
    live_routes: LiveRoutes
    streams: OpenStreams

    @property
    def database(self) -> Database:
        """Where endpoints open their transactions."""
        return self.features.database

    @property
    def registry(self) -> Registry:
        """The declared resources."""
        return self.features.registry

    @property
    def authorizer(self) -> Authorizer:
        """What decides whether a principal may do something."""
        return self.features.authorizer

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start everything that works in the background, in order; close it in reverse."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.features.close)
            self.watch.start()
            stack.callback(self.watch.stop)
            await self.metrics.start(self._sources())
            stack.push_async_callback(self.metrics.close)
            self.features.refusals.start()
            stack.push_async_callback(self.features.refusals.close)
            self.features.decisions.start()
            stack.push_async_callback(self.features.decisions.close)
            await self.usage.start()
            stack.push_async_callback(self.usage.close)
            await self.limiter.start()
            stack.push_async_callback(self.limiter.close)
            await self.listener.start()
            stack.push_async_callback(self.listener.close)
            await self.plan_cache.start()
            stack.push_async_callback(self.plan_cache.close)
            await self.origins.start()
            stack.push_async_callback(self.origins.close)
            await stack.enter_async_context(self.proxy.running())
            await self.live_routes.start()
            stack.push_async_callback(self.live_routes.close)
            self.streams.start()
            stack.push_async_callback(self.streams.close)
            if await self.listener.wait_until_listening(_FIRST_LISTEN):
                await self.live_routes.wait_until_loaded(_FIRST_LOAD)
            yield

    def _sources(self) -> tuple[Source, ...]:
        return (
            self.meter.samples,
            lambda: throttle_samples(self.limiter),
            lambda: identity_samples(self.principals, self.features.passwords),
            lambda: change_samples(self.listener, self.features.confirmations, self.plan_cache),
            lambda: pool_samples(self.database.use),
            lambda: usage_samples(self.usage),
            lambda: audit_samples(self.features.refusals),
            lambda: decision_samples(self.features.decisions),
            lambda: loop_samples(self.watch),
            lambda: route_samples(self.live_routes),
            self.proxy.upstreams.samples,
            lambda: cache_samples(self.proxy.cache),
            self.proxy.sockets.samples,
        )


def build_services(settings: Settings) -> Services:
    """Build, connect to nothing. Raises DeclarationError and ValueError for what cannot be served as it is set."""
    features = build_features(settings)
    listener, meter, lookup = ChangeListener(settings.database), RequestMeter(), _lookup(features)
    token_lookup = TokenLookup(lookup, features.permissions)
    principals, plan_cache = _principals(features, listener, token_lookup), PlanCache(features.database, listener)
    proxy = _proxy(settings, features, listener, plan_cache)
    live_routes = _live_routes(features, listener, proxy, principals)
    checks = (AuthorizationStage(features.authorizer), EntitlementStage(plan_cache))
    return Services(
        settings=settings,
        features=features,
        listener=listener,
        plan_cache=plan_cache,
        origins=Origins(features.database, listener, settings.cors_origins),
        control_revision=ControlRevision(),
        tags=EntityTags(settings.secret),
        principals=principals,
        identity=IdentityStage(principals, FailedCredentials(), features.refusals),
        lookup=lookup,
        token_lookup=token_lookup,
        limiter=RequestLimiter(settings.throttle),
        usage=UsageRecorder(settings.usage, features.database, features.usage),
        meter=meter,
        watch=LoopMonitor(lambda: meter.in_flight),
        metrics=Metrics(settings.metrics_folder),
        proxy=proxy,
        live_routes=live_routes,
        streams=OpenStreams(principals, checks, live_routes.in_force, proxy.sockets),
    )


def services_of(request: Request) -> Services:
    """The services of the app that answers this request."""
    return cast("Services", request.app.state.services)


def _lookup(features: Features) -> DatabaseLookup:
    return DatabaseLookup(
        features.database,
        features.hasher,
        features.api_keys,
        features.operator_keys,
        features.roles,
        Servable(features.release),
    )


def _proxy(settings: Settings, features: Features, listener: ChangeListener, plan_cache: PlanCache) -> Proxy:
    client_fields, spans = ClientFields(SourceReader(settings.trusted_proxies)), spans_of(os.environ)
    return Proxy(
        upstreams=Upstreams(Dialer(addresses=AddressFilter(settings.outbound_networks))),
        identity=IdentityTokens(features.tokens, plan_cache),
        client_fields=client_fields,
        traces=TraceContext() if spans is None else SpanTraces(),
        cache=ResponseCache(settings.proxy_cache_bytes, listener, client_fields),
        sockets=OpenSockets(),
        spans=spans,
    )


def _live_routes(features: Features, listener: ChangeListener, proxy: Proxy, principals: Principals) -> LiveRoutes:
    def read() -> Awaitable[Version]:
        return features.routes.read(features.database.control_reads)

    return LiveRoutes(read, listener, features.permissions, proxy, principals.forget)


def _principals(features: Features, channel: Channel, tokens: TokenLookup) -> Principals:
    cache = PrincipalCache(channel)
    return Principals(cache, CredentialLoader(cache, tokens.load), features.tokens)
