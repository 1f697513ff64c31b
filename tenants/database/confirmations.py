"""Waits until every worker of every host applies what is committed (docs/decisions/0040)."""

from tenants.database.sessions import Database


class Confirmations:
    """One per process. A change that takes rights away is answered after ``confirm`` (ID14)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def confirm(self) -> None:
        """Return when no worker uses anything that was changed before the call. Takes at most 2 s, and never raises."""
