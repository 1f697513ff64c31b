"""The stage by which an operator acts for a tenant: with ``Tenantry-Tenant`` and ``Tenantry-Reason``.

The request gets a principal of that tenant which holds what ``tenants/roles/acting.py`` lists, so that guards and audit
treat it as any other. Nothing of it is cached: the tenant is read with each request, and the operator's key is
authenticated as always, so that it ends when it is revoked (ID4).
"""

from collections.abc import Awaitable, Callable

from gateway.problems.errors import MalformedRequest
from gateway.request.context import RequestContext
from gateway.request.route import Audience, Budget, Route
from tenants.directory.errors import NoSuchTenant
from tenants.errors import Forbidden, Unavailable, ValidationFailed
from tenants.identifiers import TENANT, TenantId, read
from tenants.principal import Operator, Principal, PrincipalKind, TenantRef, TenantStatus
from tenants.roles.acting import ACTING_PERMISSIONS, ACTING_ROLE
from tenants.values.errors import BadValue
from tenants.values.shown import check_shown

_TENANT, _REASON = b"tenantry-tenant", b"tenantry-reason"
_POINTER = "/header/Tenantry-Reason"
_LONGEST_REASON = 500  # characters

FindTenant = Callable[[TenantId], Awaitable[TenantRef | None]]


class ActingNotAllowed(Forbidden):
    message = "An operator acts for a tenant on management routes only, and with the role admin or support."


class ActingStage:
    """Gives an operator's request that names a tenant a principal of that tenant; every other one passes.

    Comes after the throttle, which limits the requests of an operator key to tenants' routes: each of them reads the
    tenant. Raises ActingNotAllowed, NoSuchTenant, ValidationFailed for a reason that is missing or cannot be shown,
    MalformedRequest for repeated fields, and Unavailable.
    """

    def __init__(self, find_tenant: FindTenant) -> None:
        self._find_tenant = find_tenant

    def __call__(self, request: RequestContext) -> Awaitable[None] | None:
        operator = request.operator
        if operator is None or _TENANT not in request.fields.by_name:
            return None
        return self._act(request, operator)

    async def _act(self, request: RequestContext, operator: Operator) -> None:
        permissions = ACTING_PERMISSIONS[operator.role]
        if not (permissions and _is_open(request.route)):
            raise ActingNotAllowed
        if request.fields.repeated:
            _refuse_repeated(request)
        reason = _reason_of(request)
        tenant = await self._tenant(request.fields.by_name[_TENANT])
        request.reason = reason
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


def _is_open(route: Route | None) -> bool:
    """Management that a permission guards. Data, sign-in, and what concerns the caller itself stay closed."""
    if route is None:
        return False
    terms = route.terms
    guarded = terms.guard.audience is Audience.TENANTS and terms.guard.permission is not None
    return guarded and terms.budget is Budget.MANAGEMENT


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
