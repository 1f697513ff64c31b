"""What the parts of a worker tell of themselves: read once a second, so that none of them knows of metrics."""

import time
from collections.abc import Iterator, Mapping

from billing.plans.book import PlanBook
from gateway.health.loop_monitor import BOUNDS, LoopMonitor
from gateway.identity.principals import Principals
from gateway.metrics.measure import Kind, Measure, Sample
from gateway.throttle.limiter import PlanLimiter
from gateway.usage.recorder import UsageRecorder
from tenants.database.listener import ChangeListener
from tenants.database.use import PoolUse
from tenants.users.passwords import PasswordHasher

_CALLS = Measure(Kind.COUNTER, "tenantry_throttle_redis_calls", "Calls of the throttle to Redis.", ("outcome",))
_CALL_SECONDS = Measure(
    Kind.COUNTER, "tenantry_throttle_redis_seconds", "Time that answered calls of the throttle to Redis took together."
)
_TOKENS = Measure(
    Kind.COUNTER, "tenantry_throttle_tokens", "Tokens leased from Redis, spent by requests, given back.", ("fate",)
)
_ALONE = Measure(
    Kind.TOTAL, "tenantry_throttle_workers_without_redis", "Workers that give their own share of the limits."
)
_OUTAGES = Measure(Kind.COUNTER, "tenantry_throttle_redis_outages", "Times that a worker took Redis for gone.")
_ACCOUNTS = Measure(
    Kind.TOTAL, "tenantry_throttle_accounts", "Tenants and keys that tokens are kept for, over all workers."
)
_PRINCIPALS = Measure(Kind.TOTAL, "tenantry_principals", "Credentials remembered as good, over all workers.")
_PRINCIPAL_LOADS = Measure(Kind.COUNTER, "tenantry_principal_loads", "Credentials that the database was asked for.")
_SILENCE = Measure(
    Kind.LARGEST,
    "tenantry_changes_unconfirmed_seconds",
    "Time since a worker last knew that it had heard of every change; past 5 nothing cached is believed.",
)
_RESETS = Measure(
    Kind.COUNTER, "tenantry_changes_resets", "Times that a worker began to listen anew and forgot what it had cached."
)
_PLANS = Measure(Kind.LARGEST, "tenantry_plans", "Plans in memory.")
_PLAN_LOADS = Measure(Kind.COUNTER, "tenantry_plan_loads", "Times that the plans were read from the database.")
_CONNECTIONS = Measure(
    Kind.TOTAL,
    "tenantry_database_connections",
    "Connections to PostgreSQL by pool, in use and idle; and requests that wait for one.",
    ("pool", "state"),
)
_MOST_CONNECTIONS = Measure(
    Kind.TOTAL, "tenantry_database_connections_most", "Connections to PostgreSQL that there may be.", ("pool",)
)
_SEGMENTS = Measure(
    Kind.TOTAL, "tenantry_usage_segments_waiting", "Finished journal segments that are not yet in PostgreSQL."
)
_FULL = Measure(
    Kind.TOTAL, "tenantry_usage_journals_full", "Workers that can journal no more, and so admit no tenant's requests."
)
_BATCHES = Measure(Kind.COUNTER, "tenantry_usage_batches", "Journal segments that were rolled up into PostgreSQL.")
_LATE = Measure(
    Kind.HISTOGRAM, "tenantry_event_loop_late_seconds", "How late ticks of the event loop came, a hundred a second."
)
_BLOCKS = Measure(
    Kind.COUNTER,
    "tenantry_event_loop_blocks",
    "Times that an event loop did not turn for 100 ms and more: computing, or waiting for a call or a processor.",
    ("cause",),
)
_GARBAGE = Measure(
    Kind.COUNTER,
    "tenantry_garbage_seconds",
    "Time in which garbage was collected and nothing else ran.",
    ("generation",),
)
_PASSWORDS = Measure(Kind.TOTAL, "tenantry_passwords_waiting", "Passwords that are hashed, or wait for it.")


def throttle_samples(limiter: PlanLimiter) -> Iterator[Sample]:
    """The throttle and its calls to Redis."""
    figures = limiter.figures
    yield _CALLS.of(figures.answered, "answered")
    yield _CALLS.of(figures.unanswered, "unanswered")
    yield _CALL_SECONDS.of(figures.seconds)
    yield _TOKENS.of(figures.leased, "leased")
    yield _TOKENS.of(figures.spent, "spent")
    yield _TOKENS.of(figures.given_back, "given_back")
    yield _ALONE.of(not limiter.answering)
    yield _OUTAGES.of(figures.outages)
    yield _ACCOUNTS.of(limiter.accounts)


def identity_samples(principals: Principals, passwords: PasswordHasher) -> Iterator[Sample]:
    """What is remembered of credentials, and the hashing of passwords."""
    yield _PRINCIPALS.of(principals.remembered)
    yield _PRINCIPAL_LOADS.of(principals.loads)
    yield _PASSWORDS.of(passwords.waiting)


def change_samples(listener: ChangeListener, plan_book: PlanBook) -> Iterator[Sample]:
    """What is heard of changes, and the plans that are kept up by it."""
    yield _SILENCE.of(time.monotonic() - listener.confirmed_at)
    yield _RESETS.of(listener.resets)
    yield _PLANS.of(len(plan_book.plans()))
    yield _PLAN_LOADS.of(plan_book.loads)


def pool_samples(pools: Mapping[str, PoolUse]) -> Iterator[Sample]:
    """The pools of database connections, by name."""
    for pool, use in pools.items():
        yield _CONNECTIONS.of(use.in_use, pool, "in_use")
        yield _CONNECTIONS.of(use.idle, pool, "idle")
        yield _CONNECTIONS.of(use.waiting, pool, "waiting")
        yield _MOST_CONNECTIONS.of(use.most, pool)


def usage_samples(usage: UsageRecorder) -> Iterator[Sample]:
    """The journal of what callers use."""
    yield _SEGMENTS.of(len(usage.journal.finished))
    yield _FULL.of(usage.journal.full)
    yield _BATCHES.of(usage.flusher.batches)


def loop_samples(watch: LoopMonitor) -> Iterator[Sample]:
    """The event loop, and what holds it up."""
    yield from _LATE.buckets(BOUNDS, watch.lag_counts, watch.lag_seconds)
    for cause, count in watch.stalls.items():
        yield _BLOCKS.of(count, cause)
    for generation, seconds in enumerate(watch.garbage.seconds):
        yield _GARBAGE.of(seconds, str(generation))
