"""Users of SCIM: create, list, read, replace, patch, remove.

A user is a member of the tenant. What the identity provider says of them is kept for this tenant alone: it never
changes the account, which other tenants may share (docs/decisions/0036).
"""

import re
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.database.sessions import ControlSession
from tenants.errors import NotFound, check_version
from tenants.identifiers import TenantId, UserId
from tenants.members.service import Members
from tenants.roles.service import Roles
from tenants.scim import repository
from tenants.scim.documents import attributes_of, checked
from tenants.scim.errors import AlreadyProvisioned, NoAddress, UserNameTaken
from tenants.scim.filters import user_conditions
from tenants.scim.models import ScimUserRow
from tenants.scim.patches import Patcher, apply
from tenants.scim.repository import ProvisionedUser
from tenants.scim.schemas import USER_SCHEMA, ScimPatch, ScimUserRequest
from tenants.users.service import Users

_ADDRESS = re.compile(r"[^\x00-\x20\x7f@]+@[^\x00-\x20\x7f@]+")
_MOST_CHARACTERS = 320  # of an address: RFC 3696 erratum 1690
_COLUMNS = {"schemas", "user_name", "external_id", "active"}  # not among the attributes that are stored as a document

Versions = tuple[int, ...] | None


class ScimUsers:
    """Every call runs in the caller's transaction. Changes of one tenant's members are serialised."""

    def __init__(self, users: Users, members: Members, roles: Roles) -> None:
        self._users = users
        self._members = members
        self._roles = roles

    async def create(
        self, session: ControlSession, tenant: TenantId, requested: ScimUserRequest, *, origin: Origin
    ) -> ProvisionedUser:
        """Make the person with the primary e-mail address a member, unless they are one already.

        A new member gets the tenant's default role. Raises UserNameTaken, AlreadyProvisioned, NoAddress, and LastOwner
        for an owner who is not active.
        """
        await self._roles.serialised(session, tenant)
        await self._check_name_is_free(session, tenant, requested.user_name)
        person = await self._users.ensure(session, _address_of(requested), requested.display_name or "")
        if await repository.find_user(session, tenant, person.id) is not None:
            raise AlreadyProvisioned
        role = await repository.default_role(session, tenant)
        await self._members.join(session, tenant, person.id, [role], origin=origin)
        row = ScimUserRow(tenant_id=tenant, user_id=person.id)
        _write(row, requested)
        session.add(row)
        await session.flush()
        found = await self._with_state(session, row, requested, origin)
        await audit.record(session, tenant, origin, "scim_users.created", person.id, after=_recorded(found))
        return found

    async def page(
        self, session: ControlSession, tenant: TenantId, wanted: str | None, offset: int, limit: int
    ) -> tuple[int, Sequence[ProvisionedUser]]:
        """The number of users that a filter matches, and at most ``limit`` of them. Raises InvalidFilter."""
        return await repository.page_of_users(session, tenant, user_conditions(wanted), offset, limit)

    async def read(self, session: ControlSession, tenant: TenantId, user: UserId) -> ProvisionedUser:
        """One user. Raises NotFound."""
        found = await repository.find_user(session, tenant, user)
        if found is None:
            raise NotFound
        return found

    async def replace(
        self,
        session: ControlSession,
        tenant: TenantId,
        user: UserId,
        requested: ScimUserRequest,
        *,
        origin: Origin,
        versions: Versions = None,
    ) -> ProvisionedUser:
        """Replace all attributes; ``active`` stays as it is unless it is given.

        Raises NotFound, PreconditionFailed, UserNameTaken and LastOwner.
        """
        return await self._write(session, await self._found(session, tenant, user, versions), requested, origin)

    async def patch(
        self,
        session: ControlSession,
        tenant: TenantId,
        user: UserId,
        changes: ScimPatch,
        *,
        origin: Origin,
        versions: Versions = None,
    ) -> ProvisionedUser:
        """Make all changes or none. Raises as ``replace`` does, and InvalidPath, NoTarget and ReadOnlyAttribute."""
        found = await self._found(session, tenant, user, versions)
        document = document_of(found)
        patcher = Patcher(document, USER_SCHEMA, attributes_of(ScimUserRequest))
        for operation in changes.operations:
            apply(operation, patcher.change)
        return await self._write(session, found, checked(ScimUserRequest, document), origin)

    async def remove(
        self, session: ControlSession, tenant: TenantId, user: UserId, *, origin: Origin, versions: Versions = None
    ) -> None:
        """Remove the person from the tenant, sessions included. Raises NotFound, PreconditionFailed and LastOwner."""
        await self._found(session, tenant, user, versions)
        await self._members.remove(session, tenant, None, user, origin=origin)

    async def _found(
        self, session: ControlSession, tenant: TenantId, user: UserId, versions: Versions
    ) -> ProvisionedUser:
        await self._roles.serialised(session, tenant)
        found = await self.read(session, tenant, user)
        check_version(found.version, versions)
        return found

    async def _write(
        self, session: ControlSession, found: ProvisionedUser, requested: ScimUserRequest, origin: Origin
    ) -> ProvisionedUser:
        row, before, recorded = found.row, document_of(found), _recorded(found)
        if requested.user_name.lower() != row.user_name.lower():
            await self._check_name_is_free(session, row.tenant_id, requested.user_name)
        _write(row, requested)
        await session.flush()
        found = await self._with_state(session, row, requested, origin)
        after = document_of(found)
        if changed := sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)):
            state = _recorded(found) | {"changed": changed}
            await audit.record(
                session, row.tenant_id, origin, "scim_users.updated", row.user_id, before=recorded, after=state
            )
        return found

    async def _with_state(
        self, session: ControlSession, row: ScimUserRow, requested: ScimUserRequest, origin: Origin
    ) -> ProvisionedUser:
        # By no grantor: a tenant's directory ends the access of any member but the last owner (docs/decisions/0036).
        if requested.active is not None:
            inactive = not requested.active
            await self._members.change(session, row.tenant_id, None, row.user_id, disabled=inactive, origin=origin)
        return await self.read(session, row.tenant_id, row.user_id)

    async def _check_name_is_free(self, session: ControlSession, tenant: TenantId, name: str) -> None:
        if await repository.has_user_name(session, tenant, name):
            raise UserNameTaken


def document_of(user: ProvisionedUser) -> dict[str, Any]:
    """The attributes that the provider can change, by the names of RFC 7643."""
    row = user.row
    external = {} if row.external_id is None else {"externalId": row.external_id}
    active = user.membership.disabled_at is None
    # A copy: SQLAlchemy compares the old value of the column with the new one.
    return {"userName": row.user_name, **external, "active": active, **deepcopy(row.attributes)}


def _recorded(user: ProvisionedUser) -> dict[str, object]:
    """What the audit log keeps for good: who it is, and no addresses or telephone numbers."""
    active = user.membership.disabled_at is None
    return {"user_name": user.row.user_name, "external_id": user.row.external_id, "active": active}


def _write(row: ScimUserRow, requested: ScimUserRequest) -> None:
    known = requested.model_dump(by_alias=True, exclude_none=True, exclude=_COLUMNS)
    row.user_name, row.external_id = requested.user_name, requested.external_id
    row.attributes = {name: value for name, value in known.items() if value not in ({}, [])}


def _address_of(requested: ScimUserRequest) -> str:
    """The primary e-mail address, else one for work, else the first, else the userName. Raises NoAddress."""
    ranked = sorted(requested.emails, key=lambda each: (not each.primary, (each.type or "").lower() != "work"))
    for address in (*(each.value for each in ranked), requested.user_name):
        if address and len(address) <= _MOST_CHARACTERS and _ADDRESS.fullmatch(address):
            return address
    raise NoAddress
