"""Tenants: list, read, change, suspend, resume, change plan, delete."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import structlog

from tenants.audit import operators
from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.directory import repository
from tenants.directory.errors import NoSuchTenant, TenantHasTargets
from tenants.directory.models import MemberKeysChoice, Tenant
from tenants.directory.schemas import ChangeOwnTenant, OwnTenantResponse, TenantResponse
from tenants.errors import NotFound, ValidationFailed, check_version
from tenants.identifiers import TENANT, USER, TenantId, read, show
from tenants.principal import TenantStatus

SUSPENDED, RESUMED, PLAN_CHANGED = "tenant.suspended", "tenant.resumed", "tenant.plan_changed"
_OF_OPERATORS = frozenset({SUSPENDED, RESUMED, PLAN_CHANGED})  # a tenant's own settings are its own affair

_log = structlog.get_logger(__name__)


# Whether something that outlives a tenant names it by its slug, which another tenant can have later.
NamesTenant = Callable[[ControlSession, str], Awaitable[bool]]


class Directory:
    """Every call runs in the caller's transaction."""

    def __init__(self, has_targets: NamesTenant) -> None:
        """``has_targets``: upstreams have targets of the tenant, which then cannot be deleted."""
        self._has_targets = has_targets

    async def page(self, session: ControlSession, keyset: Keyset) -> Sequence[Tenant]:
        """A page of tenants, suspended ones included."""
        return await repository.page(session, keyset)

    async def read(self, session: ControlSession, tenant: TenantId) -> Tenant:
        """One tenant. Raises NotFound."""
        return _found(await repository.find(session, tenant))

    async def read_by_slug(self, session: ControlSession, slug: str) -> Tenant:
        """One tenant by its slug. Raises NotFound."""
        return _found(await repository.find_by_slug(session, slug))

    async def read_named(self, session: ControlSession, named: str) -> Tenant:
        """One tenant, by its slug or its id (tnt_…). Raises NoSuchTenant."""
        identifier = read(TENANT, named)
        if identifier is not None:
            found = await repository.find(session, TenantId(identifier))
        else:
            found = await repository.find_by_slug(session, named)
        if found is None:
            raise NoSuchTenant
        return found

    async def suspend(self, session: ControlSession, tenant: TenantId, *, origin: Origin) -> Tenant:
        """Refuse all its credentials until it is resumed, for the reason of ``origin``.

        Again, it changes the reason, if there is one, and not the time. Raises NotFound.
        """
        found = _found(await repository.find(session, tenant, lock=True))
        before = audited(found)
        if found.status != TenantStatus.SUSPENDED:
            found.status, found.suspended_at, found.suspension_reason = TenantStatus.SUSPENDED, datetime.now(UTC), None
        found.suspension_reason = origin.reason or found.suspension_reason
        await self._record(session, found, origin, SUSPENDED, before)
        return found

    async def resume(self, session: ControlSession, tenant: TenantId, *, origin: Origin) -> Tenant:
        """Accept its credentials again; idempotent. Raises NotFound."""
        found = _found(await repository.find(session, tenant, lock=True))
        before = audited(found)
        found.status, found.suspended_at, found.suspension_reason = TenantStatus.ACTIVE, None, None
        await self._record(session, found, origin, RESUMED, before)
        return found

    async def change(
        self,
        session: ControlSession,
        tenant: TenantId,
        requested: ChangeOwnTenant,
        versions: tuple[int, ...] | None = None,
        *,
        origin: Origin,
    ) -> Tenant:
        """Change what a tenant decides about itself: the fields that were sent.

        Only at one of ``versions``; None allows any. Raises NotFound, PreconditionFailed and ValidationFailed.
        """
        found = _found(await repository.find(session, tenant, lock=True))
        check_version(found.version, versions)
        before = audited(found)
        for name, value in requested.model_dump(exclude_unset=True).items():
            setattr(found, name, read(USER, value) if name == "member_keys_to" and value else value)
        if found.member_keys == MemberKeysChoice.HAND_OVER and found.member_keys_to is None:
            raise ValidationFailed.at("/member_keys_to", "missing", "Required: name the member who takes keys over.")
        await self._record(session, found, origin, "tenant.updated", before)
        return found

    async def change_plan(
        self,
        session: ControlSession,
        tenant: TenantId,
        plan: str,
        versions: tuple[int, ...] | None = None,
        *,
        origin: Origin,
    ) -> Tenant:
        """Change the plan; takes effect on every worker within the bound of ID4.

        Only at one of ``versions``; None allows any. Raises NotFound, PreconditionFailed, UnknownPlan.
        """
        found = _found(await repository.find(session, tenant, lock=True))
        check_version(found.version, versions)
        before = audited(found)
        await repository.set_plan(session, found, plan)
        await self._record(session, found, origin, PLAN_CHANGED, before)
        return found

    async def delete(
        self,
        session: ControlSession,
        tenant: TenantId,
        versions: tuple[int, ...] | None = None,
        *,
        origin: Origin,
    ) -> None:
        """Delete row, keys, memberships, schema, role and data for good.

        Raises NotFound, PreconditionFailed and TenantHasTargets.

        The tenant's audit log goes with its schema: that it was deleted, and by whom, is in the operators' log.
        """
        found = _found(await repository.find(session, tenant, lock=True))
        check_version(found.version, versions)
        if await self._has_targets(session, found.slug):
            raise TenantHasTargets
        before = audited(found)
        await repository.remove(session, tenant)
        _log.warning(
            "tenant_deleted",
            tenant=show(TENANT, tenant),
            slug=found.slug,
            actor=origin.actor.kind.value,
            actor_id=str(origin.actor.id),
            request_id=origin.request_id,
            source=origin.source,
        )
        await operators.record_by_operator(session, origin, "tenant.deleted", show(TENANT, tenant), before=before)

    async def _record(
        self, session: ControlSession, tenant: Tenant, origin: Origin, action: str, before: audit.State
    ) -> None:
        """Write the row, and its audit row if something has changed."""
        await session.flush()
        after = audited(tenant)
        if before != after:
            await audit.record(session, tenant.id, origin, action, tenant.id, before=before, after=after)
            if action in _OF_OPERATORS:
                name = show(TENANT, tenant.id)
                await operators.record_by_operator(session, origin, action, name, before=before, after=after)


def audited(tenant: Tenant) -> audit.State:
    """The tenant as its audit log shows it."""
    operators = TenantResponse.of(tenant).model_dump(mode="json", by_alias=True, exclude={"schema_name"})
    return operators | OwnTenantResponse.of(tenant).model_dump(mode="json", by_alias=True)


def _found(tenant: Tenant | None) -> Tenant:
    if tenant is None:
        raise NotFound
    return tenant
