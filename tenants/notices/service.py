"""Notifies people of keys that expire soon and of keys that are not used, once a day, tenant by tenant.

The marks of notices, their events and their messages are one transaction: a run that is cut short at any point, or that
is repeated, gives no notice twice and loses none. The time of a run decides what is due: repeated, it finds the rest.
"""

from datetime import datetime

import structlog

from tenants.audit import service as audit
from tenants.audit.origin import SYSTEM
from tenants.audit.repository import Change
from tenants.database.sessions import ControlSession, Database
from tenants.directory import repository as directory
from tenants.errors import TenantryError, Unavailable
from tenants.identifiers import TENANT, TenantId, UserId, show
from tenants.mail.service import Mail
from tenants.mail.templates import render
from tenants.members import repository as members
from tenants.notices import repository
from tenants.notices.messages import DueKeys
from tenants.notices.repository import DueKey

_TENANTS = 500  # of one page
_KEYS = 100  # of each kind in one transaction, and so in one message

_log = structlog.get_logger(__name__)


class Notices:
    """Opens its own transactions: one for each tenant of whose keys notices are due, further ones for many keys."""

    def __init__(self, database: Database, mail: Mail | None, product: str) -> None:
        """``mail`` is None when mail is off: notices are then events alone."""
        self._database = database
        self._mail = mail
        self._product = product

    async def run(self, now: datetime) -> int:
        """Give every notice that is due at that time; how many there were.

        A failure of one tenant stops no other. Raises Unavailable at the end when there was one, and when PostgreSQL
        is unavailable.
        """
        total, failed, after = 0, 0, None
        while True:
            async with self._database.control() as session:
                tenants = await repository.page_of_tenants(session, after, _TENANTS)
                due = await repository.with_due_keys(session, tenants, now)
            for tenant in due:
                try:
                    total += await self._of_tenant(tenant, now)
                except TenantryError as error:
                    failed += 1
                    _log.warning("key_notices_failed", tenant=show(TENANT, tenant), error=error.detail)
            if len(tenants) < _TENANTS:
                break
            after = tenants[-1]
        if failed:
            raise Unavailable(detail=f"notices of {failed} tenants failed")
        return total

    async def _of_tenant(self, tenant: TenantId, now: datetime) -> int:
        total, mailed = 0, set[UserId]()
        while True:
            async with self._database.control() as session:
                expiring = await repository.claim_expiring(session, tenant, now, _KEYS)
                unused = await repository.claim_unused(session, tenant, now, _KEYS)
                due = DueKeys(expiring, unused, there_are_more=_KEYS in {len(expiring), len(unused)})
                await _record(session, tenant, due)
                mailed |= await self._send(session, tenant, due, mailed)
            total += len(expiring) + len(unused)
            if not due.there_are_more:
                return total

    async def _send(self, session: ControlSession, tenant: TenantId, due: DueKeys, mailed: set[UserId]) -> set[UserId]:
        """Queue one message for each person whom these keys concern and who has none of today; for whom."""
        found = None if self._mail is None else await directory.find(session, tenant)
        if self._mail is None or found is None:
            return set()
        reachable = await members.reachable(session, tenant, due.people)
        admins = await members.reachable_admins(session, tenant)
        sent = set()
        for person, email in (reachable | admins).items():
            message = due.of(person, reachable, admins).message(self._product, found.name)
            if message is not None and person not in mailed:
                await self._mail.enqueue(session, email, render(message))
                sent.add(person)
        return sent


async def _record(session: ControlSession, tenant: TenantId, due: DueKeys) -> None:
    expiring = [Change(key.id, after=_identified(key) | {"expires_at": key.expires_at}) for key in due.expiring]
    unused = [
        Change(key.id, after=_identified(key) | {"created_at": key.created_at, "last_used_at": key.last_used_at})
        for key in due.unused
    ]
    await audit.record_all(session, tenant, SYSTEM, "api_keys.expiry_noticed", expiring)
    await audit.record_all(session, tenant, SYSTEM, "api_keys.unused_noticed", unused)


def _identified(key: DueKey) -> dict[str, object]:
    return {"name": key.name, "prefix": key.prefix, "last4": key.last4}
