"""What the issuer of a key holds in the transaction that makes the key.

A request carries rights that can be some milliseconds old, and so can those that a key of the tenant itself would keep
for good. The rows are read again, and held: a transaction that ends the issuer waits for the new key, and so finds it.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from tenants.api_keys import repository
from tenants.api_keys.issuer import Issuer, NoOwnKeys, PermissionsOfRoles
from tenants.api_keys.lineage import MemberNow, Owners, bounds_of, people_of, refusal_of
from tenants.api_keys.models import ApiKey
from tenants.credentials import CredentialRevoked
from tenants.database.sessions import ControlSession
from tenants.database.statements import Work
from tenants.identifiers import ApiKeyId, TenantId, UserId
from tenants.principal import PrincipalKind

# Those of these people who are members of the tenant beside them now, and not disabled.
RolesNow = Callable[[Work, Collection[tuple[TenantId, UserId]]], Awaitable[Mapping[tuple[TenantId, UserId], MemberNow]]]


@dataclass(frozen=True, slots=True)
class Standing:
    """The issuer with what it holds now, and its row when it is a key, which does not change before the end."""

    issuer: Issuer | None  # None: the SaaS's own staff
    key: ApiKey | None = None
    keys: int = 0  # in its line: itself and the keys that own it


class Standings:
    """Reads them. Roles and members of the tenant are held by the caller (``Roles.held``)."""

    def __init__(self, permissions_of: PermissionsOfRoles, roles_now: RolesNow) -> None:
        self._permissions_of = permissions_of
        self._roles_now = roles_now

    async def read(self, session: ControlSession, issuer: Issuer | None) -> Standing:
        """Raises CredentialRevoked and CredentialExpired for an issuer that has ended, NoOwnKeys for another kind."""
        if issuer is None:
            return Standing(None)
        if issuer.principal.kind is PrincipalKind.API_KEY:
            return await self._of_key(session, issuer, ApiKeyId(issuer.principal.id))
        if issuer.principal.kind is not PrincipalKind.USER:
            raise NoOwnKeys
        named = issuer.principal.tenant.id, UserId(issuer.principal.id)
        member = (await self._roles_now(session, [named])).get(named)
        if member is None:
            raise CredentialRevoked
        return Standing(_narrowed(issuer, self._permissions_of(issuer.policy, member.roles)))

    async def _of_key(self, session: ControlSession, issuer: Issuer, key: ApiKeyId) -> Standing:
        row = await repository.hold(session, issuer.principal.tenant.id, key)
        line = {each.id: each for each in await repository.find_with_owners(session, [key])}
        if row is None or key not in line:
            raise CredentialRevoked
        owners = Owners(line, await self._roles_now(session, people_of(line.values())))
        now, permissions_of = datetime.now(UTC), partial(self._permissions_of, issuer.policy)
        bounds = bounds_of(line[key], owners, permissions_of, now)
        refusal = refusal_of(line[key], now) or bounds.refusal
        if refusal is not None:
            raise refusal
        held = permissions_of((row.role,)) if bounds.scopes is None else bounds.scopes
        end = None if bounds.expires_at is None else bounds.expires_at.timestamp()
        principal = replace(issuer.principal, networks=bounds.networks, expires_at=end)
        return Standing(_narrowed(replace(issuer, principal=principal), held), row, len(line))


def _narrowed(issuer: Issuer, permissions: frozenset[str]) -> Issuer:
    return replace(issuer, permissions=issuer.permissions & permissions)
