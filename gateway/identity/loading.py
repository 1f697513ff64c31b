"""From credentials that are not remembered to their subjects, by way of the database."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, TypeVar

from gateway.identity.answer import Answer, Refusal, Subject
from gateway.identity.wanted import Secret, Wanted
from tenants.api_keys.models import ApiKey
from tenants.api_keys.secret import SecretHasher, SecretKind
from tenants.api_keys.service import ApiKeys
from tenants.credentials import CredentialExpired, CredentialInvalid, CredentialRevoked
from tenants.database.listener import ChangeKind
from tenants.database.sessions import ControlSession, Database
from tenants.directory.models import Tenant
from tenants.directory.reference import tenant_reference
from tenants.identifiers import TenantId, UserId
from tenants.members import repository as members
from tenants.operator_keys.models import OperatorKey
from tenants.operator_keys.service import OperatorKeys
from tenants.principal import Operator, Principal, PrincipalKind, Window
from tenants.sign_in import repository as sign_ins
from tenants.sign_in.access_tokens import AccessClaims

Outcomes = Mapping[Wanted, Answer | Exception]
Value = TypeVar("Value")

_SHARED = 10_000  # equal parts of principals that are one object, where a worker remembers 100,000 principals


@dataclass(frozen=True, slots=True)
class Loader:
    """Asks the database about many credentials with one question for each kind, in one transaction."""

    database: Database
    hasher: SecretHasher
    api_keys: ApiKeys
    operator_keys: OperatorKeys

    async def load(self, wanted: Sequence[Wanted]) -> list[Answer | Exception]:
        """What each of them is, in order; an exception in the place of one whose rows make no subject.

        Raises Unavailable when the database is down, never a refusal.
        """
        secrets = [each for each in wanted if isinstance(each, Secret)]
        operators = [each for each in secrets if each.kind is SecretKind.OPERATOR]
        keys = [each for each in secrets if each.kind is not SecretKind.OPERATOR]
        claims = [each for each in wanted if isinstance(each, AccessClaims)]
        found: dict[Wanted, Answer | Exception] = {}
        async with self.database.control() as session:
            if keys:
                found |= await self._keys(session, keys)
            if operators:
                found |= await self._operators(session, operators)
            if claims:
                found |= await _people(session, claims)
        return [found[each] for each in wanted]

    async def _keys(self, session: ControlSession, secrets: Sequence[Secret]) -> Outcomes:
        rows = await self.api_keys.recognise(session, [each.text for each in secrets])
        return {each: _guarded(self._key_answer, each.text, rows.get(each.text)) for each in secrets}

    async def _operators(self, session: ControlSession, secrets: Sequence[Secret]) -> Outcomes:
        rows = await self.operator_keys.recognise(session, [each.text for each in secrets])
        return {each: _guarded(self._operator_answer, each.text, rows.get(each.text)) for each in secrets}

    def _key_answer(self, secret: str, found: tuple[ApiKey, Tenant] | None) -> Answer:
        own = self._own(ChangeKind.API_KEY, secret)
        if found is None:
            return Answer(CredentialInvalid, own)
        key, tenant = found
        subject = _ended(key) or _key_principal(key, tenant)
        return Answer(subject, own, _tag(ChangeKind.TENANT, tenant.id), expires_at=_epoch(key.expires_at))

    def _operator_answer(self, secret: str, key: OperatorKey | None) -> Answer:
        own = self._own(ChangeKind.OPERATOR_KEY, secret)
        if key is None:
            return Answer(CredentialInvalid, own)
        return Answer(_ended(key) or Operator(key.id, key.name), own, expires_at=_epoch(key.expires_at))

    def _own(self, kind: ChangeKind, secret: str) -> tuple[str, ...]:
        # Under every pepper: another worker may have made the key under one that is newer, or older, than ours.
        return tuple(f"{kind} {each.value.hex()}" for each in self.hasher.candidates(secret))


async def _people(session: ControlSession, claims: Sequence[AccessClaims]) -> Outcomes:
    """The persons of these tokens, with the roles that they have now in the tenants that the tokens name."""
    found = await members.find_all(session, {(each.tenant_id, each.user_id) for each in claims})
    ended = await sign_ins.ended(session, {each.session_id for each in claims if each.session_id is not None})
    return {
        each: _guarded(_member_answer, each, None if each.session_id in ended else found.get(_membership(each)))
        for each in claims
    }


def _member_answer(claims: AccessClaims, member: members.Member | None) -> Answer:
    subject: Subject | Refusal = CredentialRevoked
    if member is not None and member.user.disabled_at is None:
        subject = _member_principal(member, claims.expires_at)
    return Answer(
        subject,
        tenant=_tag(ChangeKind.TENANT, claims.tenant_id),
        user=_tag(ChangeKind.USER, claims.user_id),
        expires_at=claims.expires_at,
    )


def _membership(claims: AccessClaims) -> tuple[TenantId, UserId]:
    return claims.tenant_id, claims.user_id


def _guarded(answer: Callable[..., Answer], *arguments: Any) -> Answer | Exception:
    # A row that makes no principal must not take the credentials of others with it, which share its question.
    try:
        return answer(*arguments)
    except Exception as error:  # noqa: BLE001 - raised to whoever sent the credential
        return error


def _ended(key: ApiKey | OperatorKey) -> Refusal | None:
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
        roles=_one((key.role,)),
        scopes=None if key.scopes is None else _one(frozenset(key.scopes)),
        windows=_one(tuple(Window(each["name"], each["quota"], each["window_seconds"]) for each in key.limits)),
        networks=_one(tuple(_network(each) for each in key.allowed_cidrs)),
        expires_at=_epoch(key.expires_at),
        user_id=_one(key.created_by_user_id),
    )


def _member_principal(member: members.Member, expires_at: float) -> Principal:
    return Principal(
        kind=PrincipalKind.USER,
        id=member.user.id,
        tenant=tenant_reference(member.tenant),
        roles=_one(member.roles),
        expires_at=expires_at,
        user_id=member.user.id,
    )


@lru_cache(maxsize=_SHARED)
def _same(value: object) -> object:
    return value


def _one(value: Value) -> Value:
    """The one object for all equal values of a kind."""
    return _same(value)  # type: ignore[return-value]  # the first of its equals, which are of its type


@lru_cache(maxsize=_SHARED)
def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text)


def _tag(kind: ChangeKind, changed: TenantId | UserId) -> str:
    return f"{kind} {changed}"


def _epoch(when: datetime | None) -> float | None:
    return None if when is None else when.timestamp()
