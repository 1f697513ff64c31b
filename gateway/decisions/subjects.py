"""Whose decision is explained: the caller, or another principal of its tenant, loaded as a credential would be."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import inf
from uuid import UUID

from gateway.decisions.schemas import CredentialState
from gateway.identity.database_lookup import DatabaseLookup
from gateway.identity.lookup import KeyId, MemberId, Refusal
from gateway.identity.token_lookup import TokenLookup
from tenants.api_keys.lineage import Granted
from tenants.api_keys.recognised import RecognisedKey
from tenants.api_keys.status import KeyStatus, status_of
from tenants.credentials import CredentialRevoked
from tenants.database.sessions import Database
from tenants.errors import NotFound
from tenants.identifiers import API_KEY, USER, WORKLOAD_RULE, ApiKeyId, UserId, WorkloadRuleId, read
from tenants.members import repository as members
from tenants.principal import Principal, PrincipalKind, TenantRef
from tenants.sign_in.access_tokens import WorkloadClaims
from tenants.workloads import repository as workloads


@dataclass(frozen=True, slots=True)
class Subject:
    """A principal of a tenant, or why there is none."""

    kind: PrincipalKind
    id: UUID
    tenant: TenantRef
    principal: Principal | None
    refusal: Refusal | None = None
    is_caller: bool = False
    state: CredentialState = CredentialState.ACTIVE
    since: datetime | None = None
    expires_at: datetime | None = None
    line: Sequence[Granted] = ()  # of a key: what it and its owners grant


@dataclass(frozen=True, slots=True)
class Subjects:
    """Reads rows and no cache, so that nothing in a cache changes."""

    lookup: DatabaseLookup
    tokens: TokenLookup
    database: Database

    async def caller(self, principal: Principal) -> Subject:
        """The principal of this request, as the gate has it."""
        if principal.kind is not PrincipalKind.API_KEY:
            ends = None if principal.expires_at is None else datetime.fromtimestamp(principal.expires_at, UTC)
            return Subject(principal.kind, principal.id, principal.tenant, principal, is_caller=True, expires_at=ends)
        line = await self.lookup.line(KeyId(principal.tenant.id, ApiKeyId(principal.id)))
        return _key(principal.tenant, line, principal, is_caller=True)

    async def named(self, tenant: TenantRef, text: str) -> Subject:
        """The principal of the tenant with this id. Raises NotFound, for one of another tenant as well."""
        if (key := read(API_KEY, text)) is not None:
            return await self._key(tenant, ApiKeyId(key))
        if (user := read(USER, text)) is not None:
            return await self._person(tenant, UserId(user))
        if (rule := read(WORKLOAD_RULE, text)) is not None:
            return await self._workload(tenant, WorkloadRuleId(rule))
        raise NotFound

    async def _key(self, tenant: TenantRef, key: ApiKeyId) -> Subject:
        asked = KeyId(tenant.id, key)
        return _key(tenant, await self.lookup.line(asked), await self._load(asked))

    async def _person(self, tenant: TenantRef, user: UserId) -> Subject:
        async with self.database.control(tenant) as session:
            member = await members.find(session, tenant.id, user)
        if member is None:
            raise NotFound
        found = await self._load(MemberId(tenant.id, user))
        if isinstance(found, Principal):
            return Subject(PrincipalKind.USER, user, found.tenant, found)
        since = member.membership.disabled_at or member.user.disabled_at
        return Subject(PrincipalKind.USER, user, tenant, None, found, state=CredentialState.DISABLED, since=since)

    async def _workload(self, tenant: TenantRef, rule: WorkloadRuleId) -> Subject:
        """As a token of the rule that was issued now."""
        async with self.database.control(tenant) as session:
            found = await workloads.read(session, tenant.id, rule)
        if found is None:
            raise NotFound
        result = await self.tokens.workload(WorkloadClaims(rule, tenant.id, found.version, None, "", inf))
        if isinstance(result, Exception):
            raise result
        if isinstance(result.subject, Principal):
            principal = replace(result.subject, expires_at=None)
            return Subject(PrincipalKind.WORKLOAD, rule, principal.tenant, principal)
        state = CredentialState.DISABLED
        return Subject(PrincipalKind.WORKLOAD, rule, tenant, None, CredentialRevoked, state=state)

    async def _load(self, asked: KeyId | MemberId) -> Principal | Refusal:
        (result,) = await self.lookup.load([asked])
        if isinstance(result, Exception):
            raise result
        if isinstance(result.subject, Principal | type):
            return result.subject
        raise NotFound


def _key(tenant: TenantRef, line: Sequence[Granted], found: Principal | Refusal, *, is_caller: bool = False) -> Subject:
    if not line or line[0].key is None:
        raise NotFound
    key = line[0].key
    status = status_of(key, datetime.now(UTC))
    principal = found if isinstance(found, Principal) else None
    bound = principal is None and status in {KeyStatus.ACTIVE, KeyStatus.ROTATING}
    return Subject(
        PrincipalKind.API_KEY,
        key.id,
        tenant if principal is None else principal.tenant,
        principal,
        None if isinstance(found, Principal) else found,
        is_caller=is_caller,
        state=CredentialState.BOUND_BY_OWNER if bound else CredentialState(status.value),
        since=None if bound else _since(key, status),
        expires_at=key.expires_at,
        line=line,
    )


def _since(key: RecognisedKey, status: KeyStatus) -> datetime | None:
    began = {
        KeyStatus.REVOKED: key.revoked_at,
        KeyStatus.EXPIRED: key.expires_at,
        KeyStatus.DISABLED: key.disabled_at,
        KeyStatus.ROTATING: key.rotated_at,
    }
    return began.get(status)
