"""The proxied routes of a worker: the version in force, kept current while requests run (docs/decisions/0048).

Loaded at the start, and again when the change listener reports ``routes`` or ``reset`` (tenants/database/reloading.py).
Requests see a version from one reference, so none sees a part of one. The permissions that routes introduce change in
the same step. A worker confirms a change when it has the version in force (ID14).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Protocol

import structlog
from pydantic import ValidationError

from gateway.proxy.compiled import NO_ROUTES, Apps, Tables, compile_routes, unavailable
from gateway.proxy.trust import Trust
from gateway.request.route import PUBLIC, Route, Terms
from tenants.database.listener import ChangeKind, ChangeListener
from tenants.database.reloading import Reloading
from tenants.errors import Unavailable
from tenants.resources.errors import DeclarationError
from tenants.roles.vocabulary import CurrentPermissions
from tenants.routes.permissions import introduced
from tenants.routes.schemas import Configuration
from tenants.routes.service import Version

_DEADLINE = 2.0  # seconds for reading a version
_RETRY = 1.0  # seconds after which a version that cannot be served in whole is tried again

Find = Callable[[str, str, str], Route]  # method, path, host

_log = structlog.get_logger(__name__)


class MakesApps(Protocol):
    """What makes the applications of routes: ``gateway/proxy/runtime.py``."""

    def prepare(self, configuration: Configuration) -> Apps:
        """Make or keep the upstreams of this configuration, for the applications of its routes."""
        ...


class LiveRoutes:
    """One per worker process. ``find`` reads memory only.

    What cannot be served on this worker answers 503 and is tried again each second: a route of which a file is missing
    alone; all routes, where a version cannot be read, such as one of a later release. Their guards are those of the
    version in force, never of an earlier one, so the worker confirms it.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[Version]],
        listener: ChangeListener,
        permissions: CurrentPermissions,
        apps: MakesApps,
        forget_principals: Callable[[], None],
    ) -> None:
        """``forget_principals``: their policies and scopes are computed from the permissions that there are."""
        self._read = read
        self._permissions = permissions
        self._apps = apps
        self._forget_principals = forget_principals
        self._tables = NO_ROUTES
        self.is_loaded = False  # a version is in force
        self._find: Find = _closed("not loaded yet")
        self._untrusted = _closed("not confirmed")
        self._trust = Trust(listener)
        self._retry: asyncio.TimerHandle | None = None
        self._reloading = Reloading("routes", listener, self._load)
        self.loads = 0  # versions that came into force here
        self.faults: dict[str, str] = {}  # why routes answer 503 here, by name; "" is all of them
        listener.subscribe(self._on_change)

    def find(self, method: str, path: str, host: str) -> Route:
        """As ``RouteTable.find``, among the routes of the host, and then among those of any host."""
        if monotonic() >= self._trust.until and not self._trust.renew():
            return self._untrusted(method, path, host)
        return self._find(method, path, host)

    @property
    def unavailable(self) -> int:
        """How many routes answer 503 on this worker; all of them when no version can be used."""
        return max(len(self._tables.routes), 1) if "" in self.faults else len(self.faults)

    @property
    def version(self) -> int:
        """The number of the version in force; 0 before the first."""
        return self._tables.number

    def in_force(self, route: Route) -> bool:
        """Whether a request that was admitted to this route would be now, as far as the routes decide it."""
        if route.spec is None:
            return True  # Tenantry's own
        current = self._tables.routes.get(route.spec.name)
        if current is None or not self.is_loaded:
            return False
        return current.spec is route.spec or current.spec == route.spec

    async def start(self) -> None:
        """Keep the routes current in the background. Does not require the database to be up."""
        await self._reloading.start()

    async def wait_until_loaded(self, seconds: float) -> None:
        """Return when a version is in force, or when this time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._reloading.settled()

    async def close(self) -> None:
        """Stop the background task."""
        if self._retry is not None:
            self._retry.cancel()
        await self._reloading.close()

    def _on_change(self, kind: str, _changed: str) -> None:
        if kind in {ChangeKind.ROUTES, ChangeKind.RESET}:
            self._trust.changed()
            self._reloading.mark_stale()

    async def _load(self) -> None:
        """Raises Unavailable and keeps the previous version, as long as it is trusted."""
        read_at = self._trust.begin()
        await self._apply_current()
        self._trust.applied(read_at)

    async def _apply_current(self) -> None:
        try:
            async with asyncio.timeout(_DEADLINE):
                version = await self._read()
        except TimeoutError as error:
            raise Unavailable(detail="the routes could not be read in time") from error
        except ValidationError as error:
            self._close(f"a version that this release cannot read: {error.error_count()} errors")
            return
        if version.number == self._tables.number and not self.faults:
            return
        try:
            self._use(await self._compiled(version), version.configuration)
        except DeclarationError as error:
            self._close(str(error))

    async def _compiled(self, version: Version) -> Tables:
        apps = self._apps.prepare(version.configuration)
        return await compile_routes(version.number, version.configuration, apps, self._tables)

    def _use(self, tables: Tables, configuration: Configuration) -> None:
        """One step of the event loop."""
        if tables.number != self._tables.number:
            self.loads += 1
            _log.info("routes_in_force", version=tables.number, routes=len(tables.routes))
        self._tables, self._find, self.is_loaded = tables, tables.find, True
        if self._permissions.introduce(introduced(configuration, self._permissions.fixed)):
            self._forget_principals()
        self._report(tables.faults)

    def _close(self, fault: str) -> None:
        self._find, self.is_loaded = _closed(fault), False
        self._report({"": fault})

    def _report(self, faults: dict[str, str]) -> None:
        new = {name: fault for name, fault in faults.items() if self.faults.get(name) != fault}
        for name, fault in new.items():
            _log.error("routes_unavailable", route=name or "all", error=fault)
        self.faults = faults
        if self._retry is not None:
            self._retry.cancel()
        if faults:
            self._retry = asyncio.get_running_loop().call_later(_RETRY, self._reloading.mark_stale)


def _closed(fault: str) -> Find:
    """Every path answers 503 while no version can be used."""
    route = Route("", "", Terms(PUBLIC), unavailable(fault))
    return lambda _method, _path, _host: route
