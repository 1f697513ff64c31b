"""The job that writes checkpoints, as procrastinate runs it."""

from procrastinate import App

from tenants.audit.checkpoint_writer import CheckpointWriter

CHECKPOINT_TASK = "audit.checkpoint"
EVERY_FIVE_MINUTES = "*/5 * * * *"


def add_audit_jobs(app: App, writer: CheckpointWriter, checkpoint_at: str = EVERY_FIVE_MINUTES) -> None:
    """Register the job."""

    @app.periodic(cron=checkpoint_at, periodic_id=CHECKPOINT_TASK)
    @app.task(name=CHECKPOINT_TASK, queueing_lock=CHECKPOINT_TASK, lock=CHECKPOINT_TASK)
    async def checkpoint(timestamp: int) -> None:  # noqa: ARG001 - procrastinate passes the scheduled time
        await writer.write()
