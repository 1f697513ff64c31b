"""Samples of the components of a worker, read once a second, so that no component depends on metrics."""

import time
from collections.abc import Iterator, Mapping

from billing.plans.cache import PlanCache
from gateway.health.loop_monitor import BOUNDS, LoopMonitor
from gateway.identity.principals import Principals
from gateway.metrics.metric import Metric, MetricKind, Sample
from gateway.throttle.limiter import RequestLimiter
from gateway.usage.recorder import UsageRecorder
from tenants.audit.refusals import Refusals
from tenants.database.confirmations import WAITS, Confirmations
from tenants.database.listener import ChangeListener
from tenants.database.use import PoolUse
from tenants.decisions.recorder import DecisionRecorder
from tenants.users.passwords import PasswordHasher

_CALLS = Metric(MetricKind.COUNTER, "tenantry_throttle_redis_calls", "Calls of the throttle to Redis.", ("outcome",))
_CALL_SECONDS = Metric(
    MetricKind.COUNTER, "tenantry_throttle_redis_seconds", "Total duration of answered calls of the throttle to Redis."
)
_TOKENS = Metric(
    MetricKind.COUNTER,
    "tenantry_throttle_tokens",
    "Tokens leased from Redis, spent by requests, and returned.",
    ("fate",),
)
_WITHOUT_REDIS = Metric(
    MetricKind.SUM, "tenantry_throttle_workers_without_redis", "Workers that enforce their own share of the limits."
)
_OUTAGES = Metric(MetricKind.COUNTER, "tenantry_throttle_redis_outages", "Times that a worker found Redis unreachable.")
_ACCOUNTS = Metric(
    MetricKind.SUM, "tenantry_throttle_accounts", "Tenants and keys with rate limit state, over all workers."
)
_PRINCIPALS = Metric(
    MetricKind.SUM, "tenantry_principals", "Good credentials in the principal caches, over all workers."
)
_PRINCIPAL_LOADS = Metric(MetricKind.COUNTER, "tenantry_principal_loads", "Credentials looked up in the database.")
_UNCONFIRMED = Metric(
    MetricKind.MAX,
    "tenantry_changes_unconfirmed_seconds",
    "Time since a worker confirmed that it has received every change notification; after 1.6 its cache is invalid.",
)
_RESETS = Metric(
    MetricKind.COUNTER,
    "tenantry_changes_resets",
    "Times that a worker reconnected its change listener and invalidated its caches.",
)
_CONFIRMATION_SECONDS = Metric(
    MetricKind.HISTOGRAM,
    "tenantry_changes_confirmation_seconds",
    "Time that the answer to a change which takes rights away has waited for all workers to apply it.",
)
_QUESTIONS = Metric(
    MetricKind.COUNTER, "tenantry_changes_questions", "Times that all workers were asked; changes share a question."
)
_UNANSWERED = Metric(
    MetricKind.COUNTER,
    "tenantry_changes_unanswered",
    "Workers that a question was not answered by: stopped, cut off or killed.",
)
_PLANS = Metric(MetricKind.MAX, "tenantry_plans", "Plans in memory.")
_PLAN_LOADS = Metric(MetricKind.COUNTER, "tenantry_plan_loads", "Times that the plans were loaded from the database.")
_CONNECTIONS = Metric(
    MetricKind.SUM,
    "tenantry_database_connections",
    "Connections to PostgreSQL by pool, in use and idle, and requests that wait for one.",
    ("pool", "state"),
)
_MAX_CONNECTIONS = Metric(
    MetricKind.SUM, "tenantry_database_connections_most", "Maximum number of connections to PostgreSQL.", ("pool",)
)
_SEGMENTS = Metric(
    MetricKind.SUM, "tenantry_usage_segments_waiting", "Finished usage journal segments that are not yet in PostgreSQL."
)
_FULL = Metric(
    MetricKind.SUM,
    "tenantry_usage_journals_full",
    "Workers whose usage journal is full, and which therefore admit no requests of tenants.",
)
_BATCHES = Metric(MetricKind.COUNTER, "tenantry_usage_batches", "Usage journal segments written to PostgreSQL.")
_REFUSALS = Metric(
    MetricKind.COUNTER,
    "tenantry_audit_refusals",
    "Refusals worth knowing that are in the audit logs of tenants, and those dropped because there were too many.",
    ("fate",),
)
_DECISIONS = Metric(
    MetricKind.COUNTER,
    "tenantry_decisions",
    "Decisions about permissions; dropped ones are in no count of a principal.",
    ("fate",),
)
_DECISIONS_WAITING = Metric(MetricKind.SUM, "tenantry_decisions_waiting", "Decisions that wait for their batch.")
_REFUSALS_WAITING = Metric(MetricKind.SUM, "tenantry_audit_refusals_waiting", "Refusals that wait for their row.")
_LOOP_DELAY = Metric(
    MetricKind.HISTOGRAM,
    "tenantry_event_loop_late_seconds",
    "Delay of event loop ticks, of which there are 100 a second.",
)
_LOOP_BLOCKS = Metric(
    MetricKind.COUNTER,
    "tenantry_event_loop_blocks",
    "Times that an event loop was blocked for 100 ms or more: computing, or waiting for a call or a processor.",
    ("cause",),
)
_GARBAGE = Metric(
    MetricKind.COUNTER,
    "tenantry_garbage_seconds",
    "Time spent in garbage collection, during which nothing else runs.",
    ("generation",),
)
_LONGEST_COLLECTION = Metric(
    MetricKind.MAX,
    "tenantry_garbage_longest_seconds",
    "CPU time of the longest garbage collection since the start of the worker.",
    ("generation",),
)
_PASSWORDS = Metric(MetricKind.SUM, "tenantry_passwords_waiting", "Passwords that are being hashed or wait for it.")


def throttle_samples(limiter: RequestLimiter) -> Iterator[Sample]:
    """The throttle and its calls to Redis."""
    stats = limiter.stats
    yield _CALLS.sample(stats.calls_answered, "answered")
    yield _CALLS.sample(stats.calls_failed, "unanswered")
    yield _CALL_SECONDS.sample(stats.call_seconds)
    yield _TOKENS.sample(stats.leased, "leased")
    yield _TOKENS.sample(stats.spent, "spent")
    yield _TOKENS.sample(stats.returned, "given_back")
    yield _WITHOUT_REDIS.sample(not limiter.uses_redis)
    yield _OUTAGES.sample(stats.outages)
    yield _ACCOUNTS.sample(limiter.accounts)


def identity_samples(principals: Principals, passwords: PasswordHasher) -> Iterator[Sample]:
    """The principal cache, and the hashing of passwords."""
    yield _PRINCIPALS.sample(principals.cached)
    yield _PRINCIPAL_LOADS.sample(principals.loads)
    yield _PASSWORDS.sample(passwords.waiting)


def change_samples(listener: ChangeListener, confirmations: Confirmations, plan_cache: PlanCache) -> Iterator[Sample]:
    """Change notifications, the wait for other workers, and the plans in memory."""
    yield _UNCONFIRMED.sample(time.monotonic() - listener.confirmed_at)
    yield _RESETS.sample(listener.resets)
    yield from _CONFIRMATION_SECONDS.buckets(WAITS, confirmations.waits, confirmations.seconds)
    yield _QUESTIONS.sample(confirmations.questions)
    yield _UNANSWERED.sample(confirmations.unanswered)
    yield _PLANS.sample(len(plan_cache.plans()))
    yield _PLAN_LOADS.sample(plan_cache.loads)


def pool_samples(pools: Mapping[str, PoolUse]) -> Iterator[Sample]:
    """The pools of database connections, by name."""
    for pool, use in pools.items():
        yield _CONNECTIONS.sample(use.in_use, pool, "in_use")
        yield _CONNECTIONS.sample(use.idle, pool, "idle")
        yield _CONNECTIONS.sample(use.waiting, pool, "waiting")
        yield _MAX_CONNECTIONS.sample(use.most, pool)


def usage_samples(usage: UsageRecorder) -> Iterator[Sample]:
    """The usage journal."""
    yield _SEGMENTS.sample(len(usage.journal.finished))
    yield _FULL.sample(usage.journal.full)
    yield _BATCHES.sample(usage.flusher.batches)


def audit_samples(refusals: Refusals) -> Iterator[Sample]:
    """Refusals for the audit logs."""
    yield _REFUSALS.sample(refusals.recorded, "recorded")
    yield _REFUSALS.sample(refusals.dropped, "dropped")
    yield _REFUSALS_WAITING.sample(refusals.waiting)


def decision_samples(decisions: DecisionRecorder) -> Iterator[Sample]:
    """Decisions that changes of roles are judged against."""
    yield _DECISIONS.sample(decisions.recorded, "recorded")
    yield _DECISIONS.sample(decisions.dropped, "dropped")
    yield _DECISIONS_WAITING.sample(decisions.waiting)


def loop_samples(watch: LoopMonitor) -> Iterator[Sample]:
    """The event loop, and what blocks it."""
    yield from _LOOP_DELAY.buckets(BOUNDS, watch.lag_counts, watch.lag_seconds)
    for cause, count in watch.stalls.items():
        yield _LOOP_BLOCKS.sample(count, cause)
    for generation, seconds in enumerate(watch.garbage.seconds):
        yield _GARBAGE.sample(seconds, str(generation))
    for generation, seconds in enumerate(watch.garbage.longest):
        yield _LONGEST_COLLECTION.sample(seconds, str(generation))
