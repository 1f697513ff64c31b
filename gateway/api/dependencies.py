"""What an endpoint can ask for by ``Depends``, as annotations: principal, plan, and the tenant's transaction.

    @router.post("/v1/deals/{id}/win")
    @terms(requires("deals:win"))
    async def win_deal(session: CurrentSession, principal: CurrentPrincipal) -> Response: ...

All of them need a tenant's principal, which ``requires(...)`` and ``requires_principal`` guarantee.
"""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm.exc import StaleDataError

from billing.plans.plan import Plan
from gateway.request.context import principal_of
from gateway.services import services_of
from tenants.database.groups import StatementGroup
from tenants.database.sessions import TenantSession
from tenants.errors import Conflict
from tenants.principal import Principal


class ChangedMeanwhile(Conflict):
    """The session's copy of a row was older than the row when it was written."""

    message = "The object was changed by another request in the meantime. Send the request again."


async def _principal(request: Request) -> Principal:
    return principal_of(request.scope)


async def _plan(request: Request) -> Plan:
    return services_of(request).plan_cache.plan(principal_of(request.scope).tenant.plan)


async def _tenant_session(request: Request) -> AsyncIterator[TenantSession]:
    tenant = principal_of(request.scope).tenant
    try:
        async with services_of(request).database.tenant(tenant) as session:
            yield session
    except StaleDataError as error:
        raise ChangedMeanwhile from error


async def _statement_group(request: Request) -> AsyncIterator[StatementGroup]:
    group = services_of(request).database.group(principal_of(request.scope).tenant)
    yield group
    if group.unsent:
        await group.commit()


CurrentPrincipal = Annotated[Principal, Depends(_principal)]
CurrentPlan = Annotated[Plan, Depends(_plan)]
# Both of function scope: the transaction commits before the response leaves, and an error rolls it back.
CurrentSession = Annotated[TenantSession, Depends(_tenant_session, scope="function")]
CurrentGroup = Annotated[StatementGroup, Depends(_statement_group, scope="function")]
