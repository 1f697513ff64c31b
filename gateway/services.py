"""What endpoints and stages are given: built once for a worker process, reached through ``app.state``."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import cast

from fastapi import Request

from billing.plans.book import PlanBook
from billing.stripe_events.inbox import StripeInbox
from gateway.authorization.authorizer import Authorizer
from gateway.authorization.permissions import catalogue
from gateway.health.loop_watch import LoopWatch
from gateway.identity.assembly import Identity, build_identity, build_principals
from gateway.identity.principals import Principals
from gateway.metrics.component_samples import (
    change_samples,
    identity_samples,
    loop_samples,
    pool_samples,
    throttle_samples,
    usage_samples,
)
from gateway.metrics.recorder import Metrics, Source
from gateway.metrics.requests import RequestMeter
from gateway.request.entity_tags import EntityTags
from gateway.settings import Settings
from gateway.throttle.limiter import PlanLimiter
from gateway.usage.recorder import UsageRecorder
from migrations.ledger import Ledger
from migrations.readiness import ControlRevision
from tenants.database.engine import open_engine
from tenants.database.listener import ChangeListener
from tenants.database.sessions import Database
from tenants.jobs.queue import JobQueue
from tenants.resources.registry import Registry, load_registry

_FIRST_LISTEN = 5.0  # seconds that a start waits for PostgreSQL; without it we serve what needs none, and are not ready


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one worker process. Frozen: nothing is swapped while requests run."""

    settings: Settings
    registry: Registry
    database: Database
    listener: ChangeListener
    plan_book: PlanBook
    control_revision: ControlRevision
    ledger: Ledger
    authorizer: Authorizer
    tags: EntityTags
    identity: Identity
    principals: Principals
    stripe_inbox: StripeInbox | None  # None when billing is off
    limiter: PlanLimiter
    usage: UsageRecorder
    meter: RequestMeter
    watch: LoopWatch
    metrics: Metrics

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Everything that works behind the requests, started in order and closed in reverse."""
        async with AsyncExitStack() as stack:
            stack.callback(self.identity.close)
            stack.push_async_callback(self.database.close)
            self.watch.start()
            stack.callback(self.watch.stop)
            await self.metrics.start(self._sources())
            stack.push_async_callback(self.metrics.close)
            await self.usage.start()
            stack.push_async_callback(self.usage.close)
            await self.limiter.start()
            stack.push_async_callback(self.limiter.close)
            await self.listener.start()
            stack.push_async_callback(self.listener.close)
            await self.plan_book.start()
            stack.push_async_callback(self.plan_book.close)
            await self.listener.wait_until_listening(_FIRST_LISTEN)
            yield

    def _sources(self) -> tuple[Source, ...]:
        return (
            self.meter.samples,
            lambda: throttle_samples(self.limiter),
            lambda: identity_samples(self.principals, self.identity.passwords),
            lambda: change_samples(self.listener, self.plan_book),
            lambda: pool_samples(self.database.use),
            lambda: usage_samples(self.usage),
            lambda: loop_samples(self.watch),
        )


def build_services(settings: Settings) -> Services:
    """Build, connect to nothing. Raises DeclarationError and ValueError for what cannot be served as it is set."""
    registry = load_registry(settings.resources)
    database = Database(open_engine(settings.database), settings.database)
    listener = ChangeListener(settings.database)
    authorizer = Authorizer(catalogue(registry.names))
    identity = build_identity(settings, database, authorizer)
    return Services(
        settings=settings,
        registry=registry,
        database=database,
        listener=listener,
        plan_book=PlanBook(database, listener),
        control_revision=ControlRevision(),
        ledger=Ledger(registry.migrations),
        authorizer=authorizer,
        tags=EntityTags(settings.secret),
        identity=identity,
        principals=build_principals(identity, database, listener),
        stripe_inbox=StripeInbox(database, JobQueue(), settings.stripe) if settings.stripe else None,
        limiter=PlanLimiter(settings.throttle),
        usage=UsageRecorder(settings.usage, database),
        meter=RequestMeter(),
        watch=LoopWatch(),
        metrics=Metrics(settings.metrics_folder),
    )


def services_of(request: Request) -> Services:
    """The services of the app that answers this request."""
    return cast("Services", request.app.state.services)
