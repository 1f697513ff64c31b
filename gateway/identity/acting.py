"""The stage by which an operator acts for a tenant: with ``Tenantry-Tenant`` and ``Tenantry-Reason``.

The request gets a principal of that tenant which holds what ``tenants/roles/acting.py`` lists, so that guards and audit
treat it as any other. The tenant's audit has it before it is admitted or refused, a read too. Nothing of it is cached:
the tenant is read with each request, and the operator's key is authenticated as always, so that it ends when it is
revoked (ID4).
"""

from collections.abc import Awaitable, Callable

from gateway.problems.errors import MalformedRequest
from gateway.request.context import RequestContext
from gateway.request.origin import origin_of_context
from gateway.request.route import Audience, Budget, Terms
from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.database.sessions import Database
from tenants.directory.errors import NoSuchTenant
from tenants.errors import Forbidden, Unavailable, ValidationFailed
from tenants.events.models import Category
from tenants.identifiers import TENANT, TenantId, read
from tenants.principal import Operator, Principal, PrincipalKind, TenantRef, TenantStatus
from tenants.roles.acting import ACTING_PERMISSIONS, ACTING_ROLE
from tenants.values.errors import BadValue
from tenants.values.shown import check_shown

_TENANT, _REASON = b"tenantry-tenant", b"tenantry-reason"
_POINTER = "/header/Tenantry-Reason"
_LONGEST_REASON = 500  # characters

FindTenant = Callable[[TenantId], Awaitable[TenantRef | None]]
Record = Callable[[TenantRef, Origin, audit.State], Awaitable[None]]


class ActingNotAllowed(Forbidden):
    message = "An operator acts for a tenant on management routes only, and with the role admin or support."


class ActingStage:
    """Gives an operator's request that names a tenant a principal of that tenant; every other one passes.

    Comes after the throttle, which limits the requests of an operator key to tenants' routes: each of them reads the
    tenant. Raises ActingNotAllowed, NoSuchTenant, ValidationFailed for a reason that is missing or cannot be shown,
    MalformedRequest for repeated fields, and Unavailable.
    """

    def __init__(self, find_tenant: FindTenant, record: Record) -> None:
        self._find_tenant = find_tenant
        self._record = record

    def __call__(self, request: RequestContext) -> Awaitable[None] | None:
        operator = request.operator
        if operator is None or _TENANT not in request.fields.by_name:
            return None
        return self._act(request, operator)

    async def _act(self, request: RequestContext, operator: Operator) -> None:
        route, permissions = request.route, ACTING_PERMISSIONS[operator.role]
        if route is None or route.terms.guard.audience is not Audience.TENANTS:
            raise ActingNotAllowed  # neither throttled nor recorded: it reaches nothing of the tenant
        if request.fields.repeated:
            _refuse_repeated(request)
        request.reason = _reason_of(request)
        tenant = await self._tenant(request.fields.by_name[_TENANT])
        await self._record(tenant, origin_of_context(request), _shown(request))
        if not (permissions and _is_open(route.terms)):
            raise ActingNotAllowed
        request.principal = Principal(
            PrincipalKind.OPERATOR, operator.id, tenant, (ACTING_ROLE,), scopes=permissions, expires_at=None
        )

    async def _tenant(self, value: bytes) -> TenantRef:
        """A suspended one too: that is when staff are needed."""
        identifier = read(TENANT, value.decode("latin-1"))
        tenant = None if identifier is None else await self._find_tenant(TenantId(identifier))
        if tenant is None:
            raise NoSuchTenant
        if tenant.status is TenantStatus.BEHIND:
            raise Unavailable(detail=f"tenant {tenant.id} must be migrated first")
        return tenant


def _shown(request: RequestContext) -> audit.State:
    """What the tenant reads of the request itself; a change has a row of its own."""
    return {"method": request.scope["method"], "route": request.template}


def recorder(database: Database) -> Record:
    """Writes to the tenant's audit, in a transaction of its own: a request that cannot be recorded is not admitted."""

    async def record(tenant: TenantRef, origin: Origin, shown: audit.State) -> None:
        async with database.control(tenant) as session:
            action, access = "tenant.accessed", Category.ACCESS
            await audit.record(session, tenant.id, origin, action, tenant.id, after=shown, category=access)

    return record


def _is_open(terms: Terms) -> bool:
    """Management that a permission guards. Data, sign-in, and what concerns the caller itself stay closed."""
    return terms.guard.permission is not None and terms.budget is Budget.MANAGEMENT


def _refuse_repeated(request: RequestContext) -> None:
    names = [name for name, _ in request.scope["headers"]]
    if names.count(_TENANT) > 1 or names.count(_REASON) > 1:
        raise MalformedRequest("Tenantry-Tenant and Tenantry-Reason must be sent once.")


def _reason_of(request: RequestContext) -> str:
    sent = request.fields.by_name.get(_REASON, b"").strip()
    if not sent:
        raise ValidationFailed.at(_POINTER, "missing", "Required: say why you act for the tenant, which reads it.")
    try:
        reason = check_shown(sent.decode())
    except UnicodeDecodeError as error:
        raise ValidationFailed.at(_POINTER, "bad_format", "Must be UTF-8.") from error
    except BadValue as error:
        raise ValidationFailed.at(_POINTER, error.code, error.message) from error
    if len(reason) > _LONGEST_REASON:
        raise ValidationFailed.at(_POINTER, "too_long", f"Must have at most {_LONGEST_REASON} characters.")
    return reason
