"""Notifications of what is no row, sent with the commit. Rows are notified by triggers (docs/decisions/0002)."""

from sqlalchemy import func, select

from tenants.database.listener import ChangeKind
from tenants.database.names import CHANGES_CHANNEL
from tenants.database.sessions import ControlSession


async def notify(session: ControlSession, kind: ChangeKind, what: str) -> None:
    """Tell every worker when the transaction commits. ``what`` is below 8,000 bytes and names no secret."""
    await session.execute(select(func.pg_notify(CHANGES_CHANNEL, f"{kind} {what}")))
