"""The origins that may call: those of the deployment, and each tenant's own, in the memory of every worker.

A preflight carries no credential, so its tenant is unknown, and it must cost nothing: it is answered from here. Changes
are announced as changes of the tenant, and only the tenants that changed are read again.
"""

import asyncio
from collections.abc import Iterable
from uuid import UUID

import structlog

from gateway.cors.origin_map import OriginMap
from tenants.database.listener import ChangeKind, ChangeListener
from tenants.database.reloading import Reloading
from tenants.database.sessions import Database
from tenants.directory import repository
from tenants.identifiers import TenantId

_PAGE = 1_000  # tenants read at once: their rows are turned into sets on the event loop
_MOST_CHANGED = 1_000  # tenants that are read again one by one; with more all are
_DEADLINE = 2.0  # seconds of one read

_log = structlog.get_logger(__name__)


class Origins:
    """One per worker process. Look-ups read memory only; a background task keeps it current."""

    def __init__(self, database: Database, listener: ChangeListener, deployment: Iterable[str]) -> None:
        self._database = database
        self._deployment = frozenset(each.encode() for each in deployment)
        self._tenants = OriginMap()
        self._all_stale = True
        self._changed: set[TenantId] = set()
        self._reloading = Reloading("origins", listener, self._load)
        listener.subscribe(self._on_change)

    def is_known(self, origin: bytes) -> bool:
        """The deployment or some tenant allows it."""
        return origin in self._deployment or self._tenants.anyone_allows(origin)

    def may_read(self, origin: bytes, tenant: TenantId) -> bool:
        """The deployment or this tenant allows it."""
        return origin in self._deployment or self._tenants.allows(tenant, origin)

    async def start(self) -> None:
        """Keep the origins current in the background. Does not require the database to be up."""
        await self._reloading.start()

    async def close(self) -> None:
        """Stop the background task."""
        await self._reloading.close()

    def _on_change(self, kind: str, changed: str) -> None:
        if kind == ChangeKind.TENANT and len(self._changed) < _MOST_CHANGED:
            self._changed.add(TenantId(UUID(changed)))
        elif kind in {ChangeKind.TENANT, ChangeKind.RESET}:
            self._all_stale = True
        else:
            return
        self._reloading.mark_stale()

    async def _load(self) -> None:
        everything, changed = self._all_stale or self._reloading.is_unconfirmed, self._changed
        self._all_stale, self._changed = False, set()  # before reading: what is announced meanwhile is read again
        try:
            if everything:
                self._tenants = await self._read_all()
            elif changed:
                await self._read_again(changed)
        except BaseException:
            self._all_stale = True
            raise

    async def _read_all(self) -> OriginMap:
        found, after = OriginMap(), TenantId(UUID(int=0))
        while True:
            async with asyncio.timeout(_DEADLINE):
                rows = await repository.page_of_origins(self._database.control_reads, after, _PAGE)
            for tenant, origins in rows:
                found.put(tenant, origins)
            if len(rows) < _PAGE:
                break
            after = rows[-1][0]
        if found.left_out:
            _log.warning("too_many_origins", tenants_left_out=found.left_out)
        return found

    async def _read_again(self, changed: set[TenantId]) -> None:
        async with asyncio.timeout(_DEADLINE):
            rows = dict(await repository.origins_of(self._database.control_reads, changed))
        for tenant in changed:
            self._tenants.put(tenant, rows.get(tenant, ()))
