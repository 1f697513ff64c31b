"""The services of the lower floors, opened for one command and closed after it: no requests, no listener."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import migrations.metadata  # noqa: F401 - every control model: a flush follows foreign keys to tables of any floor
from gateway.authorization.authorizer import Authorizer
from gateway.identity.assembly import Identity, build_identity
from gateway.settings import Settings
from tenants.database.engine import open_engine
from tenants.database.sessions import ControlSession, Database
from tenants.directory.models import Tenant
from tenants.errors import NotFound
from tenants.identifiers import TENANT, TenantId, read
from tenants.resources.registry import load_registry
from tenants.roles.permissions import catalogue

_Result = TypeVar("_Result")


class NoSuchTenant(NotFound):
    message = "There is no tenant of this slug or id."


@dataclass(frozen=True, slots=True)
class Administration:
    """What commands work with. Every call of ``identity`` takes a session of ``database.control()``."""

    database: Database
    identity: Identity

    async def tenant(self, session: ControlSession, named: str) -> Tenant:
        """The tenant of this slug or id. Raises NoSuchTenant."""
        identifier = read(TENANT, named)
        try:
            if identifier is not None:
                return await self.identity.directory.read(session, TenantId(identifier))
            return await self.identity.directory.read_by_slug(session, named)
        except NotFound as error:
            raise NoSuchTenant from error


def administer(settings: Settings, work: Callable[[Administration], Awaitable[_Result]]) -> _Result:
    """Open the services, do the work, close them. Raises Unavailable when PostgreSQL does not answer."""

    async def run() -> _Result:
        async with opened(settings) as administration:
            return await work(administration)

    return asyncio.run(run())


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Administration]:
    """The services over a pool of one connection."""
    database_settings = replace(settings.database, session_connections=1)
    database = Database(open_engine(database_settings), database_settings)
    authorizer = Authorizer(catalogue(load_registry(settings.resources).names))
    identity = build_identity(settings, database, authorizer)
    try:
        yield Administration(database, identity)
    finally:
        await database.close()
        identity.close()
