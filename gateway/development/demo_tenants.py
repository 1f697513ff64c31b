"""Makes the demo's tenants with keys, people, a Stripe customer and data: each once, whatever cut a start short."""

from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_urlsafe

from billing.subscriptions.service import CustomerTaken
from gateway.development.demo_data import KEY_ROLES, USER_ROLES, DemoTenant, email_of
from gateway.development.ports import PartFailed
from gateway.development.saved import Saved, SavedTenant, SavedUser
from gateway.development.shop import Shop
from gateway.features import Features
from tenants.api_keys.schemas import CreateApiKey
from tenants.crud import service as crud
from tenants.database.sessions import ControlSession
from tenants.directory.models import Tenant
from tenants.directory.reference import tenant_reference
from tenants.errors import NotFound
from tenants.identifiers import TENANT, TenantId, UserId, show
from tenants.onboarding.schemas import CreateTenant
from tenants.principal import SYSTEM_ACTOR
from tenants.resources.registry import Registry
from tenants.roles.builtin import BuiltInRole

_RESET = "Start with --reset, or with another data folder or database."


@dataclass(frozen=True, slots=True)
class DemoTenants:
    """Remembers what it makes in ``saved`` before the transaction that makes it is committed.

    A start that is cut short between the two leaves an id that no tenant has, and the next one makes the tenant anew.
    """

    features: Features
    registry: Registry
    saved: Saved
    store: Callable[[], None]

    async def ensure(self, wanted: DemoTenant, plan: str) -> Tenant:
        """The tenant with its keys and people. Raises PartFailed when another tenant has its slug."""
        found = await self._find(wanted.slug)
        known = self.saved.tenants.get(wanted.slug)
        if found is None:
            return await self._create(wanted, plan)
        if known is None or known.id != show(TENANT, found.id):
            raise PartFailed(f"The database has a tenant {wanted.slug!r} that is not of this data folder. {_RESET}")
        return found

    async def ensure_customer(self, tenant: Tenant, shop: Shop) -> str:
        """The tenant's Stripe customer, made where there is none. Raises PartFailed when it has a lost one."""
        known = self.saved.tenants[tenant.slug]
        customer = shop.customer(known.stripe_customer, tenant.name, email_of("owner", tenant.slug), known.id)
        known.stripe_customer = customer
        self.store()
        try:
            async with self.features.database.control() as session:
                await self.features.subscriptions.link_customer(session, tenant.id, customer)
        except CustomerTaken as error:
            raise PartFailed(f"Tenant {tenant.slug!r} has a Stripe customer that is gone. {_RESET}") from error
        return customer

    async def ensure_data(self, tenant: Tenant, wanted: DemoTenant) -> None:
        """Contacts and deals, where the declared resources are those of the example and nothing was written yet."""
        known = self.saved.tenants[tenant.slug]
        if known.has_data or not {"contacts", "deals"}.issubset(self.registry.names):
            return
        async with self.features.database.tenant(tenant_reference(tenant)) as session:
            contacts = self.registry["contacts"]
            made = [await crud.create(session, contacts, values, actor=SYSTEM_ACTOR) for values in wanted.contacts]
            for position, values in wanted.deals:
                deal = {**values, "contact_id": made[position].id}
                await crud.create(session, self.registry["deals"], deal, actor=SYSTEM_ACTOR)
            known.has_data = True
            self.store()

    async def _find(self, slug: str) -> Tenant | None:
        try:
            async with self.features.database.control() as session:
                return await self.features.directory.read_by_slug(session, slug)
        except NotFound:
            return None

    async def _create(self, wanted: DemoTenant, plan: str) -> Tenant:
        people = [_person_of(role, wanted.slug) for role in USER_ROLES]
        users = self.features.users
        hashes = [await users.hash_password(person.password, person.email) for person in people]
        async with self.features.database.control() as session:
            begin = CreateTenant(slug=wanted.slug, name=wanted.name, plan=plan)
            made = await self.features.onboarding.create(session, begin)
            keys = {"admin": made.key.secret, **await self._keys(session, made.tenant.id)}
            for person, password_hash in zip(people, hashes, strict=True):
                await self._person(session, made.tenant.id, person, password_hash)
            self.saved.tenants[wanted.slug] = SavedTenant(id=show(TENANT, made.tenant.id), keys=keys, users=people)
            self.store()
        return made.tenant

    async def _keys(self, session: ControlSession, tenant: TenantId) -> dict[str, str]:
        api_keys = self.features.api_keys
        keys = {}
        for role in KEY_ROLES:
            if role != BuiltInRole.ADMIN:  # the tenant's first key is the admin's
                made = await api_keys.create(session, tenant, None, CreateApiKey(name=f"demo {role}", role=role))
                keys[role] = made.secret
        return keys

    async def _person(self, session: ControlSession, tenant: TenantId, person: SavedUser, password_hash: str) -> None:
        users = self.features.users
        user = await users.ensure(session, person.email, f"Demo {person.role}")
        await users.set_password(session, UserId(user.id), password_hash)
        await self.features.members.put(session, tenant, UserId(user.id), [BuiltInRole(person.role)])


def _person_of(role: str, slug: str) -> SavedUser:
    return SavedUser(email=email_of(role, slug), password=f"demo-{token_urlsafe(18)}", role=role)
