"""Workload rules: create, list, read, change and delete. Every call runs in the caller's transaction.

A rule is the tenant's own, as a key of the tenant itself is (docs/decisions/0041): it stays when its maker leaves.
"""

from collections.abc import Sequence

from tenants.api_keys import repository as api_keys
from tenants.api_keys.issuer import (
    Issuer,
    NoServiceKeys,
    PermissionsOfRoles,
    RoleGrant,
    check_grant,
    narrowed_networks,
    owner_for,
)
from tenants.api_keys.lineage import OwnerKind
from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.errors import FieldError, NotFound, ValidationFailed, check_version
from tenants.identifiers import ApiKeyId, TenantId, WorkloadRuleId, new_id
from tenants.oidc.discovery import Discovery
from tenants.oidc.errors import IssuerUnusable
from tenants.outbound.urls import read_secure_url
from tenants.principal import PrincipalKind
from tenants.values.errors import BadValue
from tenants.workloads import repository
from tenants.workloads.errors import NoWorkloadRules, TooManyWorkloadRules
from tenants.workloads.models import WorkloadRule
from tenants.workloads.patterns import check_identity
from tenants.workloads.permitted import WITHHELD
from tenants.workloads.schemas import ChangeWorkloadRule, CreateWorkloadRule, WorkloadRuleResponse

MOST_RULES = 100  # of one tenant
_TAKES_ONLY = frozenset({"name"})  # fields whose change gives nothing


class WorkloadRules:
    """``check_issuer`` opens no transaction: none must be held while the issuer is asked."""

    def __init__(
        self, permissions_of: PermissionsOfRoles, discovery: Discovery, *, own_issuer: str, allow_loopback_http: bool
    ) -> None:
        self._permissions_of = permissions_of
        self._discovery = discovery
        self._own_issuer = own_issuer
        self._allow_loopback_http = allow_loopback_http

    async def check_issuer(self, issuer: str) -> None:
        """Return when the issuer publishes acceptable metadata at an address that may be asked (PX1).

        Raises ValidationFailed; also for our own issuer, whose tokens are never exchanged for others.
        """
        try:
            url = read_secure_url(issuer, allow_loopback_http=self._allow_loopback_http)
        except BadValue as error:
            raise ValidationFailed.at("/issuer", error.code, error.message) from error
        if url.query or issuer.rstrip("/") == self._own_issuer.rstrip("/"):
            raise ValidationFailed.at("/issuer", "bad_url", "Must be the URL of another issuer, without a query.")
        try:
            await self._discovery.metadata(issuer)
        except IssuerUnusable as error:
            # One text for every reason: the answer must not tell what is reachable from here.
            message = "No OpenID Connect issuer with exactly this URL publishes its keys at a public address."
            raise ValidationFailed((FieldError("/issuer", "issuer_unusable", message),), detail=str(error)) from error

    async def create(
        self,
        session: ControlSession,
        tenant: TenantId,
        issuer: Issuer,
        requested: CreateWorkloadRule,
        *,
        origin: Origin,
    ) -> WorkloadRule:
        """Create a rule, whose issuer was checked.

        Raises ValidationFailed, NoWorkloadRules, ExceedsIssuer and TooManyWorkloadRules.
        """
        if await repository.count(session, tenant) >= MOST_RULES:
            raise TooManyWorkloadRules
        rule = WorkloadRule(id=WorkloadRuleId(new_id()), tenant_id=tenant, **requested.model_dump())
        await self._check(session, issuer, rule)
        session.add(rule)
        await session.flush()
        await session.refresh(rule)
        await audit.record(session, tenant, origin, "workload_rules.created", rule.id, after=_shown(rule))
        return rule

    async def page(self, session: ControlSession, tenant: TenantId, keyset: Keyset) -> Sequence[WorkloadRule]:
        """A page of this tenant's rules."""
        return await repository.page(session, tenant, keyset)

    async def read(self, session: ControlSession, tenant: TenantId, rule: WorkloadRuleId) -> WorkloadRule:
        """One rule of this tenant. Raises NotFound."""
        found = await repository.read(session, tenant, rule)
        if found is None:
            raise NotFound
        return found

    async def change(
        self,
        session: ControlSession,
        tenant: TenantId,
        issuer: Issuer,
        rule: WorkloadRuleId,
        requested: ChangeWorkloadRule,
        *,
        origin: Origin,
        versions: tuple[int, ...] | None = None,
    ) -> WorkloadRule:
        """Change the fields that were sent; a new issuer was checked. Tokens that the rule gave before end.

        The rule must be within what the caller holds, unless the change only renames or disables it. Raises NotFound,
        PreconditionFailed, ValidationFailed, NoWorkloadRules and ExceedsIssuer.
        """
        found = await self._locked(session, tenant, rule)
        check_version(found.version, versions)
        before, version, sent = _shown(found), found.version, requested.model_dump(exclude_unset=True)
        for name, value in sent.items():
            setattr(found, name, value)
        if not (sent.keys() <= _TAKES_ONLY or (sent.keys() <= _TAKES_ONLY | {"enabled"} and not found.enabled)):
            await self._check(session, issuer, found)
        await session.flush()
        await session.refresh(found)
        if found.version != version:
            after = _shown(found)
            await audit.record(session, tenant, origin, "workload_rules.updated", rule, before=before, after=after)
        return found

    async def delete(
        self,
        session: ControlSession,
        tenant: TenantId,
        rule: WorkloadRuleId,
        *,
        origin: Origin,
        versions: tuple[int, ...] | None = None,
    ) -> None:
        """Delete a rule. Its tokens end. Raises NotFound and PreconditionFailed."""
        found = await self._locked(session, tenant, rule)
        check_version(found.version, versions)
        await repository.remove(session, rule)
        await audit.record(session, tenant, origin, "workload_rules.deleted", rule, before=_shown(found))

    async def _locked(self, session: ControlSession, tenant: TenantId, rule: WorkloadRuleId) -> WorkloadRule:
        found = await repository.find(session, tenant, rule)
        if found is None:
            raise NotFound
        return found

    async def _check(self, session: ControlSession, issuer: Issuer, rule: WorkloadRule) -> None:
        """Return when the rule names its workloads, and gives no more than the caller holds (AZ5)."""
        await _check_maker(session, issuer)
        try:
            check_identity(rule.issuer, rule.claims)
        except BadValue as error:
            raise ValidationFailed.at("/claims", error.code, error.message) from error
        for position, scope in enumerate(rule.scopes or ()):
            if scope in WITHHELD:
                message = "No workload may do this: what it makes would outlast the workload's token."
                raise ValidationFailed.at(f"/scopes/{position}", "not_for_workloads", message)
        check_grant(issuer, RoleGrant(rule.role, rule.scopes), self._permissions_of)
        rule.allowed_cidrs = narrowed_networks(issuer, rule.allowed_cidrs)


async def _check_maker(session: ControlSession, issuer: Issuer) -> None:
    """As for a key of the tenant itself: no later loss of rights narrows a rule (ID16). Raises NoWorkloadRules.

    A rule has neither an end nor limits either, which a key that has some could leave behind by it.
    """
    principal, maker = issuer.principal, None
    if principal.kind is PrincipalKind.API_KEY:
        maker = await api_keys.find(session, principal.tenant.id, ApiKeyId(principal.id))
        if maker is None or principal.windows or principal.expires_at is not None:
            raise NoWorkloadRules
    try:
        owner_for(issuer, maker, OwnerKind.TENANT)
    except NoServiceKeys as error:
        raise NoWorkloadRules from error


def _shown(rule: WorkloadRule) -> audit.State:
    return WorkloadRuleResponse.of(rule).model_dump(mode="json")
