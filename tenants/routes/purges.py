"""Purges of the workers' response caches: what is to be forgotten, told to every worker with the commit.

Nothing is stored but the row of the operators' log. A worker that misses the notification forgets everything when it
listens again, and uses nothing that it has stored before (docs/decisions/0056).
"""

from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from tenants.audit import operators
from tenants.audit.origin import Origin
from tenants.database.listener import ChangeKind
from tenants.database.notifications import notify
from tenants.database.sessions import ControlSession
from tenants.directory.errors import NoSuchTenant
from tenants.directory.service import Directory
from tenants.errors import ValidationFailed
from tenants.routes.schemas import Name, Part
from tenants.routes.service import Routes

# A notification has less than 8,000 bytes, and a character of UTF-8 at most four.
_Path = Annotated[str, StringConstraints(pattern=r"^/[^\u0000-\u001f\u007f]*$", max_length=1_000)]


class PurgeSpec(Part):
    """What is forgotten: all that has every member that is given. Without members it is everything."""

    route: Name | None = None
    tenant: Annotated[str | None, Field(max_length=100, examples=["acme"])] = None  # its slug or its id
    path: Annotated[_Path | None, Field(examples=["/echo/products"])] = None  # decoded, as callers send it
    path_prefix: _Path | None = None  # the path and all below it

    @model_validator(mode="after")
    def _one_path(self) -> Self:
        if self.path is not None and self.path_prefix is not None:
            raise ValueError("give path or path_prefix, not both")
        return self


class Purge(Part):
    """The same, as workers are told."""

    route: Name | None = None
    tenant: UUID | None = None
    path: _Path | None = None
    path_prefix: _Path | None = None


class CachePurges:
    """Every call runs in the caller's transaction."""

    def __init__(self, routes: Routes, directory: Directory) -> None:
        self._routes = routes
        self._directory = directory

    async def purge(self, session: ControlSession, spec: PurgeSpec, *, origin: Origin) -> None:
        """Every worker forgets this when the transaction commits. Raises ValidationFailed for what does not exist."""
        await self._check_route(session, spec.route)
        tenant = await self._tenant(session, spec.tenant)
        purge = Purge(route=spec.route, tenant=tenant, path=spec.path, path_prefix=spec.path_prefix)
        told = purge.model_dump(mode="json", exclude_none=True)
        await notify(session, ChangeKind.CACHE, purge.model_dump_json(exclude_none=True))
        await operators.record(session, origin, "cache.purged", spec.route or "*", after=told)

    async def _check_route(self, session: ControlSession, name: str | None) -> None:
        if name is None:
            return
        version = await self._routes.current(session)
        if all(each.name != name for each in version.configuration.routes):
            raise ValidationFailed.at("/route", "unknown_route", "No route has this name.")

    async def _tenant(self, session: ControlSession, named: str | None) -> UUID | None:
        if named is None:
            return None
        try:
            return (await self._directory.read_named(session, named)).id
        except NoSuchTenant:
            raise ValidationFailed.at("/tenant", "unknown_tenant", "No tenant has this slug or id.") from None
