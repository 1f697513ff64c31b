"""From credentials that are not remembered to their subjects, by way of the database."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, TypeVar

from gateway.identity.answer import Answer, Refusal, Subject
from gateway.identity.wanted import Secret, Wanted
from tenants.api_keys.recognised import RecognisedKey
from tenants.api_keys.service import ApiKeys
from tenants.credentials import CredentialExpired, CredentialInvalid, CredentialRevoked
from tenants.database.listener import ChangeKind
from tenants.database.sessions import Database
from tenants.identifiers import TenantId, UserId
from tenants.operator_keys.repository import RecognisedOperatorKey
from tenants.operator_keys.service import OperatorKeys
from tenants.principal import Operator, Principal, PrincipalKind, Window
from tenants.secrets.hashing import SecretHasher
from tenants.secrets.tokens import SecretKind
from tenants.sign_in import repository as sign_ins
from tenants.sign_in.access_tokens import AccessClaims

Outcomes = Mapping[Wanted, Answer | Exception]
Value = TypeVar("Value")

_SHARED = 10_000  # equal parts of principals that are one object, where a worker remembers 100,000 principals


@dataclass(frozen=True, slots=True)
class Loader:
    """Asks the database about many credentials with one question for each kind."""

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
        if keys:
            found |= await self._keys(keys)
        if operators:
            found |= await self._operators(operators)
        if claims:
            found |= await self._people(claims)
        return [found[each] for each in wanted]

    async def _keys(self, secrets: Sequence[Secret]) -> Outcomes:
        rows = await self.api_keys.recognise(self.database, [each.text for each in secrets])
        return {each: _guarded(self._key_answer, each.text, rows.get(each.text)) for each in secrets}

    async def _operators(self, secrets: Sequence[Secret]) -> Outcomes:
        rows = await self.operator_keys.recognise(self.database, [each.text for each in secrets])
        return {each: _guarded(self._operator_answer, each.text, rows.get(each.text)) for each in secrets}

    async def _people(self, claims: Sequence[AccessClaims]) -> Outcomes:
        rows = await sign_ins.holders(self.database.control_reads, claims)
        return {each: _guarded(_person_answer, each, rows.get(each)) for each in claims}

    def _key_answer(self, secret: str, key: RecognisedKey | None) -> Answer:
        own = self._own(ChangeKind.API_KEY, secret)
        if key is None:
            return Answer(CredentialInvalid, own)
        tenant = _tag(ChangeKind.TENANT, key.tenant.id)
        return Answer(_ended(key) or _key_principal(key), own, tenant, expires_at=_epoch(key.expires_at))

    def _operator_answer(self, secret: str, key: RecognisedOperatorKey | None) -> Answer:
        own = self._own(ChangeKind.OPERATOR_KEY, secret)
        if key is None:
            return Answer(CredentialInvalid, own)
        return Answer(_ended(key) or Operator(key.id, key.name), own, expires_at=_epoch(key.expires_at))

    def _own(self, kind: ChangeKind, secret: str) -> tuple[str, ...]:
        # Under every pepper: another worker may have made the key under one that is newer, or older, than ours.
        return tuple(f"{kind} {each.value.hex()}" for each in self.hasher.candidates(secret))


def _person_answer(claims: AccessClaims, holder: sign_ins.Holder | None) -> Answer:
    subject: Subject | Refusal = CredentialRevoked
    if holder is not None and not (holder.is_disabled or holder.has_signed_out):
        subject = _person(claims, holder)
    return Answer(
        subject,
        tenant=_tag(ChangeKind.TENANT, claims.tenant_id),
        user=_tag(ChangeKind.USER, claims.user_id),
        expires_at=claims.expires_at,
    )


def _guarded(answer: Callable[..., Answer], *arguments: Any) -> Answer | Exception:
    # A row that makes no principal must not take the credentials of others with it, which share its question.
    try:
        return answer(*arguments)
    except Exception as error:  # noqa: BLE001 - raised to whoever sent the credential
        return error


def _ended(key: RecognisedKey | RecognisedOperatorKey) -> Refusal | None:
    if key.revoked_at is not None:
        return CredentialRevoked
    if key.expires_at is not None and key.expires_at <= datetime.now(UTC):
        return CredentialExpired
    return None


def _key_principal(key: RecognisedKey) -> Principal:
    return Principal(
        kind=PrincipalKind.API_KEY,
        id=key.id,
        tenant=_one(key.tenant),
        roles=_one((key.role,)),
        scopes=None if key.scopes is None else _one(frozenset(key.scopes)),
        windows=_one(tuple(Window(each["name"], each["quota"], each["window_seconds"]) for each in key.limits)),
        networks=_one(tuple(_network(each) for each in key.allowed_cidrs)),
        expires_at=_epoch(key.expires_at),
        user_id=_one(key.created_by_user_id),
    )


def _person(claims: AccessClaims, holder: sign_ins.Holder) -> Principal:
    return Principal(
        kind=PrincipalKind.USER,
        id=claims.user_id,
        tenant=_one(holder.tenant),
        roles=_one(holder.roles),
        expires_at=claims.expires_at,
        user_id=claims.user_id,
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
