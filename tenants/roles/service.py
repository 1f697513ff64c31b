"""Roles: list, read, create, change and delete a tenant's own; resolve what roles hold."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from uuid import UUID

from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.database.statements import Work
from tenants.directory import repository as directory
from tenants.errors import NotFound, check_version
from tenants.identifiers import RoleId, TenantId, new_id
from tenants.policy import Policy
from tenants.roles import repository
from tenants.roles.builtin import BuiltInRole
from tenants.roles.errors import BuiltInRoleFixed, RoleInUse
from tenants.roles.grants import Grantor, check_role_change
from tenants.roles.models import Role
from tenants.roles.role_set import RoleDefinition, RoleSet
from tenants.roles.schemas import ChangeRole, CreateRole, RoleResponse
from tenants.roles.vocabulary import CurrentPermissions, Vocabulary

# Whether any member, or any key that has not ended, of this tenant has the role of this name.
IsAssigned = Callable[[ControlSession, TenantId, str], Awaitable[bool]]


class Roles:
    """Every call runs in the caller's transaction. Changes of one tenant's roles and members are serialised."""

    def __init__(self, permissions: CurrentPermissions, assignments: Sequence[IsAssigned]) -> None:
        """``assignments`` are the features that assign roles; a role that one of them uses cannot be deleted."""
        self._permissions = permissions
        self._assignments = assignments

    @property
    def _vocabulary(self) -> Vocabulary:
        return self._permissions.vocabulary

    @property
    def _built_in(self) -> list[Role]:
        return [self._built_in_row(number, role) for number, role in enumerate(BuiltInRole, 1)]

    async def role_sets(self, reads: Work, tenants: Collection[TenantId]) -> dict[TenantId, RoleSet]:
        """The roles of each of these tenants, with one query."""
        found = await repository.definitions(reads, tenants)
        return {tenant: RoleSet(tenant, own, self._vocabulary) for tenant, own in found.items()}

    def permissions_of(self, policy: Policy, roles: Iterable[str]) -> frozenset[str]:
        """All that these roles hold together: built-in ones, and the tenant's own by ``policy``. Plain sets, no I/O."""
        nothing, built_in = frozenset[str](), self._vocabulary.built_in
        return nothing.union(*(built_in.get(role) or policy.roles.get(role, nothing) for role in roles))

    async def known(self, session: ControlSession, tenant: TenantId) -> RoleSet:
        """The tenant's roles as they are, which others may change at once: for what only reads them."""
        return self._set(tenant, await repository.all_of(session, tenant))

    async def held(self, session: ControlSession, tenant: TenantId) -> RoleSet:
        """The tenant's roles, which do not change before the transaction ends: for what refers to one of them."""
        await directory.hold(session, tenant)
        return self._set(tenant, await repository.all_of(session, tenant))

    async def serialised(self, session: ControlSession, tenant: TenantId) -> RoleSet:
        """The tenant's roles; until the transaction ends no other one changes them, or the members."""
        await directory.serialise(session, tenant)
        return self._set(tenant, await repository.all_of(session, tenant))

    async def page(self, session: ControlSession, tenant: TenantId, keyset: Keyset) -> Sequence[Role]:
        """A page of the tenant's roles by creation time, the built-in ones as the oldest."""
        rows = sorted((*self._built_in, *await repository.all_of(session, tenant)), key=_id, reverse=keyset.descending)
        after = keyset.after
        if after is not None:
            rows = [each for each in rows if (each.id < after if keyset.descending else each.id > after)]
        return rows[: keyset.count]

    async def read(self, session: ControlSession, tenant: TenantId, role: RoleId) -> Role:
        """One role of this tenant, its own or built in. Raises NotFound."""
        built_in = next((each for each in self._built_in if each.id == role), None)
        return built_in or await self._found(session, tenant, role)

    async def create(
        self,
        session: ControlSession,
        tenant: TenantId,
        grantor: Grantor | None,
        requested: CreateRole,
        *,
        origin: Origin,
    ) -> Role:
        """Create a role. Raises RoleNameTaken, TooManyRoles, ValidationFailed and ExceedsOwn."""
        before = await self.serialised(session, tenant)
        wanted = RoleDefinition(requested.name, tuple(requested.permissions), tuple(requested.inherits))
        check_role_change(grantor, before, before.added(wanted), wanted.name)
        role = Role(
            id=RoleId(new_id()),
            tenant_id=tenant,
            name=wanted.name,
            description=requested.description,
            permissions=_distinct(wanted.permissions),
            inherits=_distinct(wanted.inherits),
        )
        session.add(role)
        await session.flush()
        await audit.record(session, tenant, origin, "roles.created", role.id, after=_shown(role))
        return role

    async def change(
        self,
        session: ControlSession,
        tenant: TenantId,
        grantor: Grantor | None,
        role: RoleId,
        requested: ChangeRole,
        *,
        origin: Origin,
        versions: tuple[int, ...] | None = None,
    ) -> Role:
        """Change the fields that were sent; in force on every worker within the bound of ID4.

        Raises NotFound, BuiltInRoleFixed, PreconditionFailed, ValidationFailed and ExceedsOwn.
        """
        self._refuse_built_in(role)
        before = await self.serialised(session, tenant)
        found = await self._found(session, tenant, role)
        check_version(found.version, versions)
        sent = requested.model_dump(exclude_unset=True)
        wanted = {"permissions": found.permissions, "inherits": found.inherits} | sent
        definition = RoleDefinition(found.name, tuple(wanted["permissions"]), tuple(wanted["inherits"]))
        check_role_change(grantor, before, before.changed(definition), found.name)
        shown = _shown(found)
        found.description = sent.get("description", found.description)
        found.permissions, found.inherits = _distinct(definition.permissions), _distinct(definition.inherits)
        await session.flush()
        if _shown(found) != shown:
            await audit.record(session, tenant, origin, "roles.updated", role, before=shown, after=_shown(found))
        return found

    async def delete(
        self,
        session: ControlSession,
        tenant: TenantId,
        grantor: Grantor | None,
        role: RoleId,
        *,
        origin: Origin,
        versions: tuple[int, ...] | None = None,
    ) -> None:
        """Delete a role. Raises NotFound, BuiltInRoleFixed, PreconditionFailed, RoleInUse and ExceedsOwn."""
        self._refuse_built_in(role)
        before = await self.serialised(session, tenant)
        found = await self._found(session, tenant, role)
        check_version(found.version, versions)
        check_role_change(grantor, before, before.removed(found.name), found.name)
        for is_assigned in self._assignments:
            if await is_assigned(session, tenant, found.name):
                raise RoleInUse
        await repository.remove(session, role)
        await audit.record(session, tenant, origin, "roles.deleted", role, before=_shown(found))

    async def _found(self, session: ControlSession, tenant: TenantId, role: RoleId) -> Role:
        found = await repository.find(session, tenant, role)
        if found is None:
            raise NotFound
        return found

    def _refuse_built_in(self, role: RoleId) -> None:
        if any(_built_in_id(number) == role for number, _ in enumerate(BuiltInRole, 1)):
            raise BuiltInRoleFixed

    def _set(self, tenant: TenantId, rows: Iterable[Role]) -> RoleSet:
        own = (RoleDefinition(row.name, tuple(row.permissions), tuple(row.inherits)) for row in rows)
        return RoleSet(tenant, own, self._vocabulary)

    def _built_in_row(self, number: int, role: BuiltInRole) -> Role:
        permissions = sorted(self._vocabulary.built_in[role])
        return Role(
            id=_built_in_id(number),
            name=role.value,
            description=_DESCRIPTIONS[role],
            permissions=permissions,
            inherits=[],
        )


def _built_in_id(number: int) -> RoleId:
    """A UUIDv7 of the year 1970: the same in every deployment, and older than every other."""
    return RoleId(UUID(int=(7 << 76) | (2 << 62) | number))


_DESCRIPTIONS: Mapping[BuiltInRole, str] = {
    BuiltInRole.OWNER: "Everything in the tenant, including other owners.",
    BuiltInRole.ADMIN: "Everything in the tenant but owners.",
    BuiltInRole.MEMBER: "Reads and writes data.",
    BuiltInRole.VIEWER: "Reads data.",
}


def _shown(role: Role) -> audit.State:
    return RoleResponse.of(role).model_dump(mode="json")


def _id(role: Role) -> UUID:
    return role.id


def _distinct(names: Iterable[str]) -> list[str]:
    return sorted(set(names))
