"""From a credential that is not remembered to its subject, by way of the database."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_network

from gateway.identity.cache import Answer
from tenants.api_keys.models import ApiKey
from tenants.api_keys.secret import SecretHasher
from tenants.api_keys.service import ApiKeys
from tenants.credentials import CredentialExpired, CredentialInvalid, CredentialRevoked
from tenants.database.listener import ChangeKind
from tenants.database.sessions import Database
from tenants.directory.models import Tenant
from tenants.directory.reference import tenant_reference
from tenants.errors import TenantryError
from tenants.identifiers import TenantId, UserId
from tenants.members import repository as members
from tenants.operator_keys.models import OperatorKey
from tenants.operator_keys.service import OperatorKeys
from tenants.principal import Operator, Principal, PrincipalKind, Window
from tenants.sign_in import repository as sign_ins
from tenants.sign_in.access_tokens import AccessTokens


@dataclass(frozen=True, slots=True)
class Loader:
    """Asks the database once for each credential. Every method raises Unavailable when it is down, never a refusal."""

    database: Database
    hasher: SecretHasher
    api_keys: ApiKeys
    operator_keys: OperatorKeys
    tokens: AccessTokens

    async def api_key(self, secret: str) -> Answer:
        """The principal of a well-formed API key."""
        async with self.database.control() as session:
            found = await self.api_keys.recognise(session, secret)
        if found is None:
            return Answer(CredentialInvalid, self._unknown(ChangeKind.API_KEY, secret))
        key, tenant = found
        tags = (*self._unknown(ChangeKind.API_KEY, secret), _tag(ChangeKind.TENANT, tenant.id))
        refusal = _ended(key)
        return Answer(refusal, tags) if refusal else Answer(_key_principal(key, tenant), tags, _epoch(key.expires_at))

    async def operator_key(self, secret: str) -> Answer:
        """The operator of a well-formed operator key."""
        async with self.database.control() as session:
            key = await self.operator_keys.recognise(session, secret)
        tags = self._unknown(ChangeKind.OPERATOR_KEY, secret)
        if key is None:
            return Answer(CredentialInvalid, tags)
        return Answer(_ended(key) or Operator(key.id, key.name), tags, _epoch(key.expires_at))

    async def access_token(self, token: bytes) -> Answer:
        """The person of an access token, with the roles that they have now in the tenant that it names.

        Raises CredentialInvalid and CredentialExpired without asking the database.
        """
        claims = self.tokens.verify(token)
        async with self.database.control() as session:
            member = await members.find(session, claims.tenant_id, claims.user_id)
            ended = claims.session_id is not None and await sign_ins.has_ended(session, claims.session_id)
        tags = (_tag(ChangeKind.USER, claims.user_id), _tag(ChangeKind.TENANT, claims.tenant_id))
        if member is None or member.user.disabled_at is not None or ended:
            return Answer(CredentialRevoked, tags)
        return Answer(_member_principal(member, claims.expires_at), tags, claims.expires_at)

    def _unknown(self, kind: ChangeKind, secret: str) -> tuple[str, ...]:
        # Under every pepper: another worker may have made the key under one that is newer, or older, than ours.
        return tuple(f"{kind} {each.value.hex()}" for each in self.hasher.candidates(secret))


def _ended(key: ApiKey | OperatorKey) -> type[TenantryError] | None:
    if key.revoked_at is not None:
        return CredentialRevoked
    if key.expires_at is not None and key.expires_at <= datetime.now(UTC):
        return CredentialExpired
    return None


def _key_principal(key: ApiKey, tenant: Tenant) -> Principal:
    return Principal(
        kind=PrincipalKind.API_KEY,
        id=key.id,
        tenant=tenant_reference(tenant),
        roles=(key.role,),
        scopes=None if key.scopes is None else frozenset(key.scopes),
        windows=tuple(Window(each["name"], each["quota"], each["window_seconds"]) for each in key.limits),
        networks=tuple(ip_network(each) for each in key.allowed_cidrs),
        expires_at=key.expires_at.timestamp() if key.expires_at else None,
        user_id=key.created_by_user_id,
    )


def _member_principal(member: members.Member, expires_at: float) -> Principal:
    return Principal(
        kind=PrincipalKind.USER,
        id=member.user.id,
        tenant=tenant_reference(member.tenant),
        roles=member.roles,
        expires_at=expires_at,
        user_id=member.user.id,
    )


def _tag(kind: ChangeKind, changed: TenantId | UserId) -> str:
    return f"{kind} {changed}"


def _epoch(when: datetime | None) -> float:
    return math.inf if when is None else when.timestamp()
