"""Jobs and cron of Stripe events, registered with procrastinate."""

from procrastinate import App

from billing.stripe_events.applier import EventApplier
from billing.stripe_events.inbox import APPLY_TASK
from billing.stripe_events.reconciler import Reconciler
from tenants.jobs.retries import BackOff

RECONCILE_TASK = "stripe_events.reconcile"
EVERY_TEN_MINUTES = "*/10 * * * *"


def add_stripe_jobs(
    app: App,
    applier: EventApplier,
    reconciler: Reconciler,
    back_off: BackOff = BackOff(),  # noqa: B008 - frozen
    reconcile_at: str = EVERY_TEN_MINUTES,
) -> None:
    """Register both jobs. No lock orders a customer's events: a failing event would block the others (SI6)."""

    @app.task(name=APPLY_TASK, retry=back_off)
    async def apply_event(event_id: str) -> None:
        await applier.apply(event_id)

    @app.periodic(cron=reconcile_at, periodic_id=RECONCILE_TASK)
    @app.task(name=RECONCILE_TASK, queueing_lock=RECONCILE_TASK, lock=RECONCILE_TASK)
    async def reconcile(timestamp: int) -> None:  # noqa: ARG001 - procrastinate passes the scheduled time
        await reconciler.run()
