"""ID16: what every key may do, after any changes of people, roles and keys, decided anew by an oracle of plain sets.

`make test` compares some 1,000 pairs of change and key, and `make soak` 100,000, the same ones every time; a failure
names its sequence and all its changes.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, LiteralString

import psycopg
import pytest
from hypothesis import settings

from gateway.identity.lookup import KeyId, MemberId
from tenants.api_keys.issuer import Issuer
from tenants.api_keys.schemas import ChangeApiKey, CreateApiKey, RotateApiKey
from tenants.audit.origin import SYSTEM
from tenants.database.sessions import ControlSession
from tenants.directory.models import MemberKeysChoice
from tenants.directory.schemas import ChangeOwnTenant
from tenants.errors import TenantryError
from tenants.identifiers import USER, RoleId, TenantId, UserId, show
from tenants.principal import Principal
from tenants.roles.permissions import built_in_policy
from tenants.roles.schemas import ChangeRole, CreateRole
from tests.fixtures.gateways import Gateway
from tests.fixtures.lineage_oracle import Key, Person, World

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1_800)]

_PAIRS = 100_000 if (settings.default or settings()).max_examples > 1_000 else 1_000  # `make soak`, or the suite
_CHANGES = 40  # of one sequence
_PEOPLE = ("admin", "member", "viewer")  # the fourth person stays the owner
_OWN = ("clerk", "keeper")
_DRAWN = ("contacts:read", "contacts:update", "deals:read", "api_keys:create", "members:update", "service_keys:create")


@dataclass
class _Sequence:
    """One sequence of changes, made to the tenant and to the oracle's world."""

    gateway: Gateway
    world: World
    random: Random
    roles: dict[str, RoleId]
    log: list[str] = field(default_factory=list)

    @property
    def tenant(self) -> TenantId:
        return self.gateway.acme.ref.id

    async def change(self) -> None:
        """Make a change that the services accept exactly when the oracle does."""
        often = [self.create, self.create, self.create, self.narrow, self.rotate, self.edit_role]
        people = [self.set_roles, self.set_disabled, self.remove, self.join, self.hand_over, self.choose]
        drawn: Callable[[], Awaitable[None]] = self.random.choice(
            [*often, *often, *people, self.revoke, self.set_key_disabled]
        )
        await drawn()

    async def apply(self, name: str, work: Callable[[ControlSession], Awaitable[Any]], *, valid: bool) -> Any:
        self.log.append(f"{name} {valid}")
        result, refused = None, None
        try:
            async with self.gateway.services.database.control() as session:
                result = await work(session)
        except TenantryError as error:
            refused = error
        assert (refused is None) == valid, (self.log, refused)
        return result

    async def issuer(self, of: "Person | Key", session: ControlSession) -> Issuer | None:
        """As a request would have it; None when its credential is refused."""
        lookup = KeyId(self.tenant, of.id) if isinstance(of, Key) else MemberId(self.tenant, of.id)
        (found,) = await self.gateway.services.lookup.load([lookup])
        if isinstance(found, Exception) or not isinstance(found.subject, Principal):
            return None
        known = await self.gateway.services.features.roles.held(session, self.tenant)
        may = frozenset(self.gateway.services.authorizer.permissions_of(found.subject))
        return Issuer(found.subject, may, known.policy)

    def anyone(self) -> Person | Key:
        """Mostly keys that work and their makers, so that lines get long."""
        keys = [key for key in self.world.keys if self.world.may(key) is not None]
        if keys and self.random.random() < 0.5:
            return self.random.choice(keys)
        return self.random.choice(list(self.world.people.values()))

    def grant(self, by: Person | Key) -> tuple[str, list[str] | None]:
        """A role and scopes, mostly within what the maker may grant."""
        world, roles = self.world, [*_OWN, *self.world.built_in]
        own = world.held([by.role] if isinstance(by, Key) else by.roles)
        within = [each for each in roles if world.held([each]) <= own]
        role = self.random.choice(within if within and self.random.random() < 0.8 else roles)
        if self.random.random() < 0.5:
            return role, None
        known = sorted(world.held([role]) & (world.may(by) or frozenset())) or [*_DRAWN]
        return role, self.random.sample(known, self.random.randint(0, len(known)))

    async def create(self) -> None:
        world, by = self.world, self.anyone()
        role, scopes = self.grant(by)
        of_tenant = self.random.random() < 0.2
        may, held = world.may(by), world.held([role])
        granted = held if scopes is None else frozenset(scopes)
        roles = [by.role] if isinstance(by, Key) else by.roles
        valid = may is not None and granted <= held <= world.held(roles) and granted <= may
        if of_tenant:
            valid = valid and "service_keys:create" in (may or ()) and not (isinstance(by, Key) and by.owner)
        elif isinstance(by, Key):
            valid = valid and world.owners(by) < 8
        wanted = CreateApiKey(name="drawn", role=role, scopes=scopes, **({"owner": "tenant"} if of_tenant else {}))

        async def work(session: ControlSession) -> Any:
            issuer = await self.issuer(by, session)
            if issuer is None:
                raise TenantryError
            keys = self.gateway.services.features.api_keys
            return await keys.create(session, self.tenant, issuer, wanted, origin=SYSTEM)

        if (made := await self.apply(f"create {role} {scopes}", work, valid=valid)) is not None:
            narrow, maker = None if scopes is None else frozenset(scopes), by if isinstance(by, Key) else None
            world.keys.append(Key(made.key.id, role, narrow, None if of_tenant else by, maker))

    async def narrow(self) -> None:
        if not self.world.keys:
            return
        key = self.random.choice(self.world.keys)
        held = sorted(self.world.held([key.role]))
        scopes = self.random.sample(held, self.random.randint(0, len(held)))
        changes, tenant = self.gateway.services.features.key_changes, self.tenant

        async def work(session: ControlSession) -> Any:
            issuer = await self.issuer(self.world.people["owner"], session)
            assert issuer is not None
            return await changes.change(session, tenant, issuer, key.id, ChangeApiKey(scopes=scopes), origin=SYSTEM)

        valid = not self.world.is_ended(key)
        await self.apply(f"scopes {scopes}", work, valid=valid)
        key.scopes = frozenset(scopes) if valid else key.scopes

    async def rotate(self) -> None:
        world, by = self.world, self.anyone()
        if not world.keys:
            return
        old = self.random.choice(world.keys)
        may, roles = world.may(by), [by.role] if isinstance(by, Key) else by.roles
        valid = may is not None and not world.is_ended(old) and not old.disabled
        valid = valid and world.held([old.role]) <= world.held(roles) and world.granted(old) <= (may or frozenset())

        async def work(session: ControlSession) -> Any:
            await self.gateway.services.features.roles.serialised(session, self.tenant)
            issuer = await self.issuer(by, session)
            if issuer is None:
                raise TenantryError
            keys = self.gateway.services.features.api_keys
            return await keys.rotate(session, self.tenant, issuer, old.id, RotateApiKey(), origin=SYSTEM)

        if (made := await self.apply("rotate", work, valid=valid)) is not None:
            scopes = None if old.scopes is None else world.granted(old)
            new = Key(made.key.id, old.role, scopes, old.owner, by if isinstance(by, Key) else None, replaces=old)
            old.over = True
            for each in world.keys:
                each.owner = new if each.owner is old else each.owner
            world.keys.append(new)

    async def set_roles(self) -> None:
        person, roles = self.person(), self.random.sample([*_OWN, *self.world.built_in], self.random.randint(1, 2))
        members = self.gateway.services.features.people.members
        await self.apply(
            f"roles {roles}",
            lambda session: members.set_roles(session, self.tenant, None, person.id, roles, origin=SYSTEM),
            valid=person.member,
        )
        if person.member:
            if not self.world.held(person.roles) <= self.world.held(roles):
                self.world.before_loss(person)
            person.roles = roles

    async def set_disabled(self) -> None:
        person, disabled = self.person(), self.random.random() < 0.5
        members = self.gateway.services.features.people.members
        await self.apply(
            f"disabled {disabled}",
            lambda session: members.change(session, self.tenant, None, person.id, disabled=disabled, origin=SYSTEM),
            valid=person.member,
        )
        if person.member:
            if disabled and not person.disabled:
                self.world.before_loss(person)
            person.disabled = disabled

    async def remove(self) -> None:
        person, members = self.person(), self.gateway.services.features.people.members
        await self.apply(
            "remove",
            lambda session: members.remove(session, self.tenant, None, person.id, origin=SYSTEM),
            valid=person.member,
        )
        if person.member:
            self.world.before_loss(person)
            for key in self.world.owned(person):
                key.revoked = True
            person.member = False

    async def join(self) -> None:
        person, members = self.person(), self.gateway.services.features.people.members
        await self.apply(
            "join",
            lambda session: members.join(session, self.tenant, person.id, ["admin"], origin=SYSTEM),
            valid=True,
        )
        if not person.member:
            person.member, person.disabled, person.roles = True, False, ["admin"]

    async def revoke(self) -> None:
        if not self.world.keys:
            return
        key, all_of_it = self.random.choice(self.world.keys), self.random.random() < 0.4
        keys = self.gateway.services.features.api_keys
        walk = keys.descendants.made_by(self.tenant, key.id)
        await self.apply(
            f"revoke {all_of_it}",
            lambda session: (
                keys.descendants.end(session, self.tenant, walk, origin=SYSTEM)
                if all_of_it
                else keys.revoke(session, self.tenant, key.id, origin=SYSTEM)
            ),
            valid=True,
        )
        for each in self.world.made(key) if all_of_it else [key]:
            each.revoked = True

    async def hand_over(self) -> None:
        person, to, world = self.person(), self.person(), self.world
        passed = [key for key in world.keys if key.owner is person]
        checked = [key for key in passed if any(not each.revoked for each in {key, *world.owned(key)})]
        valid = person.member and to.member and not to.disabled and to is not person
        valid = valid and all(world.granted(key) <= world.held(to.roles) for key in checked)
        members = self.gateway.services.features.people.members
        await self.apply(
            "hand over",
            lambda session: members.keys.hand_over(
                session, self.tenant, None, person.id, show(USER, to.id), origin=SYSTEM
            ),
            valid=valid,
        )
        if valid:
            for key in checked:
                key.owner = to

    async def edit_role(self) -> None:
        name, permissions = self.random.choice(_OWN), self.random.sample(_DRAWN, self.random.randint(0, 5))
        changed = ChangeRole(permissions=permissions)
        roles = self.gateway.services.features.roles
        await self.apply(
            f"role {name} {permissions}",
            lambda session: roles.change(session, self.tenant, None, self.roles[name], changed, origin=SYSTEM),
            valid=True,
        )
        self.world.own[name] = frozenset(permissions)

    async def set_key_disabled(self) -> None:
        if not self.world.keys:
            return
        key, disabled = self.random.choice(self.world.keys), self.random.random() < 0.5
        changes, tenant = self.gateway.services.features.key_changes, self.tenant
        await self.apply(
            f"key disabled {disabled}",
            lambda session: (
                changes.disable(session, tenant, key.id, origin=SYSTEM)
                if disabled
                else changes.enable(session, tenant, None, key.id, origin=SYSTEM)
            ),
            valid=not self.world.is_ended(key),
        )
        if not self.world.is_ended(key):
            key.disabled = disabled

    async def choose(self) -> None:
        taker = self.person() if self.random.random() < 0.8 else None
        chosen: dict[str, Any] = {"member_keys": MemberKeysChoice.NARROW}
        if taker is not None:
            chosen = {"member_keys": MemberKeysChoice.HAND_OVER, "member_keys_to": show(USER, taker.id)}
        directory = self.gateway.services.features.directory
        await self.apply(
            f"choose {taker is not None}",
            lambda session: directory.change(session, self.tenant, ChangeOwnTenant(**chosen), origin=SYSTEM),
            valid=True,
        )
        self.world.taker = taker

    def person(self) -> Person:
        return self.random.choice([self.world.people[name] for name in _PEOPLE])

    async def compare(self) -> int:
        """Every key by what a request with it could do; how many there are."""
        lookups = [KeyId(self.tenant, key.id) for key in self.world.keys]
        found = await self.gateway.services.lookup.load(lookups) if lookups else []
        for key, result in zip(self.world.keys, found, strict=True):
            assert not isinstance(result, Exception), (self.log, result)
            subject, may = result.subject, None
            if isinstance(subject, Principal):
                may = frozenset(self.gateway.services.authorizer.permissions_of(subject))
            assert may == self.world.may(key), (self.log, key)
        return len(found)


async def _begun(gateway: Gateway, number: int) -> _Sequence:
    """A sequence in acme, as it is at first."""
    _run(gateway, "UPDATE tenantry.api_keys SET revoked_at = now() WHERE name = 'drawn' AND revoked_at IS NULL")
    _run(gateway, "UPDATE tenantry.tenants SET member_keys = 'narrow'")
    features, tenant, roles = gateway.services.features, gateway.acme.ref.id, {}
    people, own = {}, {}
    async with gateway.services.database.control() as session:
        for name in ("owner", *_PEOPLE):
            person = await features.people.users.ensure(session, f"{name}@acme.example")
            await features.people.members.put(session, tenant, UserId(person.id), [name], origin=SYSTEM)
            people[name] = Person(UserId(person.id), [name])
    _run(gateway, "UPDATE tenantry.memberships SET disabled_at = NULL")
    for name in _OWN:
        roles[name] = RoleId(_run(gateway, "SELECT id FROM tenantry.roles WHERE name = %s", name)[0][0])
        own[name] = frozenset(_run(gateway, "SELECT permissions FROM tenantry.roles WHERE name = %s", name)[0][0])
    world = World(built_in_policy(features.authorizer.permissions).roles, own, people)
    return _Sequence(gateway, world, Random(f"lineage {number}"), roles)  # noqa: S311 - no secret is drawn


def _run(gateway: Gateway, statement: LiteralString, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(gateway.urls.owner, autocommit=True) as connection:
        cursor = connection.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


async def test_every_key_may_do_what_the_oracle_says(gateway: Gateway) -> None:
    """ID16, AZ5: after every one of some hundred changes, each of them accepted exactly when it should be."""
    roles, tenant = gateway.services.features.roles, gateway.acme.ref.id
    async with gateway.services.database.control() as session:
        for name in _OWN:
            wanted = CreateRole(name=name, permissions=["contacts:read", "api_keys:create"])
            await roles.create(session, tenant, None, wanted, origin=SYSTEM)
    pairs = number = 0
    while pairs < _PAIRS:
        sequence = await _begun(gateway, number)
        for _ in range(_CHANGES):
            await sequence.change()
            pairs += await sequence.compare()
        number += 1
