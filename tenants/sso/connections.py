"""The connection of a tenant to its identity provider: read, configure, remove."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.database.sessions import ControlSession, Database
from tenants.errors import FieldError, NotFound, ValidationFailed, check_version
from tenants.identifiers import TenantId, new_id
from tenants.oidc.errors import IssuerUnusable
from tenants.outbound.urls import read_secure_url
from tenants.principal import TenantRef
from tenants.roles.grants import Grantor, check_assignment
from tenants.roles.role_set import RoleSet
from tenants.roles.service import Roles
from tenants.secrets.sealing import SealedRow, Sealer
from tenants.sso import repository
from tenants.sso.errors import NothingToEnforce
from tenants.sso.models import SsoConnection
from tenants.sso.port import IdentityProvider, ProviderClient
from tenants.sso.schemas import ConfigureConnection, ConnectionResponse
from tenants.values.errors import BadValue

CLIENT_SECRET = "sso client secret"  # noqa: S105 - purpose of the sealed value
OWNERS = "owners:manage"  # no provider gives it: only owners make owners
_NO_VERSION = 0

# The versions of the connection with this id that a change accepts; None accepts any.
ExpectedVersions = Callable[[UUID], tuple[int, ...] | None]


def _any(_connection: UUID) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Configured:
    """A connection as it is now, and whether it is new."""

    connection: SsoConnection
    is_new: bool


class Connections:
    """``configure`` opens its own transactions: none is held while the provider is asked."""

    def __init__(
        self,
        database: Database,
        *,
        roles: Roles,
        provider: IdentityProvider,
        sealer: Sealer,
        redirect_uri: str,
        allow_loopback_http: bool,
    ) -> None:
        self.redirect_uri = redirect_uri  # to be registered at every provider
        self._database = database
        self._roles = roles
        self._provider = provider
        self._sealer = sealer
        self._allow_loopback_http = allow_loopback_http

    async def read(self, session: ControlSession, tenant: TenantId) -> SsoConnection:
        """The tenant's connection. Raises NotFound."""
        found = await repository.find_connection(session, tenant)
        if found is None:
            raise NotFound
        return found

    async def configure(
        self,
        tenant: TenantRef,
        grantor: Grantor | None,
        requested: ConfigureConnection,
        expected: ExpectedVersions = _any,
        *,
        origin: Origin,
    ) -> Configured:
        """Replace the connection. A new issuer is asked for its metadata first.

        Raises ValidationFailed, PreconditionFailed, ExceedsOwn and NothingToEnforce.
        """
        self._check_url(requested.issuer)
        async with self._database.control(tenant) as session:
            stored = await repository.find_connection(session, tenant.id)
        if stored is None or stored.issuer != requested.issuer:
            await self._check_provider(requested.issuer)
        async with self._database.control(tenant) as session:
            known = await self._roles.serialised(session, tenant.id)
            stored = await repository.find_connection(session, tenant.id)
            before = None if stored is None else self._shown(stored)
            connection = stored or SsoConnection(id=new_id(), tenant_id=tenant.id)
            check_version(_NO_VERSION if stored is None else stored.version, expected(connection.id))
            _check_roles(known, requested)
            check_assignment(grantor, known, () if stored is None else _given(stored), _wanted(requested))
            await self._store(session, connection, stored, requested)
            action = "sso_connections.created" if stored is None else "sso_connections.updated"
            after = self._shown(connection)
            await audit.record(session, tenant.id, origin, action, connection.id, before=before, after=after)
        return Configured(connection, is_new=stored is None)

    async def remove(
        self,
        session: ControlSession,
        tenant: TenantId,
        grantor: Grantor | None,
        expected: ExpectedVersions = _any,
        *,
        origin: Origin,
    ) -> None:
        """Delete the connection, and end the sessions that it has opened.

        Raises NotFound, PreconditionFailed and ExceedsOwn.
        """
        known = await self._roles.serialised(session, tenant)
        found = await repository.find_connection(session, tenant)
        if found is None:
            raise NotFound
        check_version(found.version, expected(found.id))
        check_assignment(grantor, known, _given(found), ())
        await repository.remove_connection(session, found.id)
        await repository.end_federated(session, tenant, datetime.now(UTC))
        await audit.record(session, tenant, origin, "sso_connections.removed", found.id, before=self._shown(found))

    def client_of(self, connection: SsoConnection) -> ProviderClient | None:
        """The registration at the provider; None when the secret cannot be opened, because its key is gone."""
        secret = self._sealer.open(_row(connection), connection.client_secret)
        if secret is None:
            return None
        return ProviderClient(
            issuer=connection.issuer,
            client_id=connection.client_id,
            client_secret=secret.decode(),
            redirect_uri=self.redirect_uri,
            groups_claim=connection.groups_claim,
        )

    def _shown(self, connection: SsoConnection) -> audit.State:
        return ConnectionResponse.of(connection, self.redirect_uri).model_dump(mode="json")

    async def _store(
        self,
        session: ControlSession,
        connection: SsoConnection,
        stored: SsoConnection | None,
        requested: ConfigureConnection,
    ) -> None:
        tenant = connection.tenant_id
        if requested.enforced and not await repository.has_proven_domain(session, tenant):
            raise NothingToEnforce
        if requested.enforced:
            await repository.change_policy(session, tenant)
        if stored is not None and stored.issuer != requested.issuer:
            await repository.forget_subjects(session, stored.id)
            await repository.end_federated(session, tenant, datetime.now(UTC))
        self._set_client(connection, requested, is_new=stored is None)
        connection.default_role, connection.groups_claim = requested.default_role, requested.groups_claim
        connection.group_roles, connection.enforced = dict(requested.group_roles), requested.enforced
        session.add(connection)
        await session.flush()
        if requested.enforced:
            await repository.end_others(session, tenant, datetime.now(UTC))

    def _set_client(self, connection: SsoConnection, requested: ConfigureConnection, *, is_new: bool) -> None:
        same = (connection.issuer, connection.client_id) == (requested.issuer, requested.client_id)
        if requested.client_secret is not None:
            sealed = self._sealer.seal(_row(connection), requested.client_secret.encode())
            connection.client_secret = sealed
        elif is_new or not same:  # the stored one must not be sent to another provider
            raise ValidationFailed.at("/client_secret", "missing", "This is required for a new issuer or client id.")
        connection.issuer, connection.client_id = requested.issuer, requested.client_id

    def _check_url(self, issuer: str) -> None:
        try:
            url = read_secure_url(issuer, allow_loopback_http=self._allow_loopback_http)
        except BadValue as error:
            raise ValidationFailed.at("/issuer", error.code, error.message) from error
        if url.query:
            raise ValidationFailed.at("/issuer", "bad_url", "Must have no query.")

    async def _check_provider(self, issuer: str) -> None:
        try:
            await self._provider.check(issuer)
        except IssuerUnusable as error:
            # One text for every reason: the answer must not tell what is reachable from here.
            message = "No OpenID Connect provider with exactly this issuer answers at a public address."
            raise ValidationFailed((FieldError("/issuer", "provider_unusable", message),), detail=str(error)) from error


def _check_roles(known: RoleSet, requested: ConfigureConnection) -> None:
    given = [("/default_role", requested.default_role)]
    given += [(f"/group_roles/{_escaped(group)}", role) for group, role in requested.group_roles.items()]
    faults = []
    for pointer, role in given:
        if role not in known:
            faults.append(FieldError(pointer, "unknown_role", "There is no role of this name."))
        elif OWNERS in known.permissions_of((role,)):
            faults.append(FieldError(pointer, "owner_role", "Single sign-on cannot make owners."))
    if faults:
        raise ValidationFailed(tuple(faults))


def _escaped(name: str) -> str:
    """A name in a JSON pointer (RFC 6901 section 3)."""
    return name.replace("~", "~0").replace("/", "~1")


def _wanted(requested: ConfigureConnection) -> Sequence[str]:
    return (requested.default_role, *requested.group_roles.values())


def _given(connection: SsoConnection) -> Sequence[str]:
    return (connection.default_role, *connection.group_roles.values())


def _row(connection: SsoConnection) -> SealedRow:
    return SealedRow(connection.tenant_id, connection.id)
