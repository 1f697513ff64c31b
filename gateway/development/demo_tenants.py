"""Creates the demo's tenants with keys, users, a Stripe customer and data: each once, over all starts."""

from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_urlsafe

from billing.subscriptions.service import CustomerLinked, CustomerTaken
from gateway.development.demo_data import DEMO_RESOURCES, KEY_ROLES, USER_ROLES, DemoTenant, email_of
from gateway.development.demo_state import DemoState, DemoUser, TenantState
from gateway.development.servers import SetUpFailed
from gateway.development.stripe_account import StripeAccount
from gateway.features import Features
from tenants.api_keys.schemas import CreateApiKey
from tenants.audit.origin import SYSTEM
from tenants.crud import service as crud
from tenants.database.sessions import ControlSession
from tenants.directory.models import Tenant
from tenants.directory.reference import tenant_reference
from tenants.errors import NotFound
from tenants.identifiers import TENANT, TenantId, UserId, show
from tenants.onboarding.schemas import CreateTenant
from tenants.resources.registry import Registry
from tenants.roles.builtin import BuiltInRole

_RESET = "Start with --reset, or with another data folder or database."


@dataclass(frozen=True, slots=True)
class DemoTenants:
    """Writes what it creates to ``state`` before the transaction that creates it is committed.

    A start that is interrupted between the two leaves an id that no tenant has, and the next start creates the tenant.
    """

    features: Features
    registry: Registry
    state: DemoState
    store: Callable[[], None]

    async def ensure(self, demo: DemoTenant, plan: str) -> Tenant:
        """The tenant with its keys and users. Raises SetUpFailed when another tenant has its slug."""
        found = await self._find(demo.slug)
        known = self.state.tenants.get(demo.slug)
        if found is None:
            return await self._create(demo, plan)
        if known is None or known.id != show(TENANT, found.id):
            raise SetUpFailed(f"The database has a tenant {demo.slug!r} that is not of this data folder. {_RESET}")
        return found

    async def ensure_customer(self, tenant: Tenant, account: StripeAccount) -> str:
        """The tenant's Stripe customer, created if needed. Raises SetUpFailed when Stripe has lost an earlier one."""
        known = self.state.tenants[tenant.slug]
        customer = account.ensure_customer(known.stripe_customer, tenant.name, email_of("owner", tenant.slug), known.id)
        known.stripe_customer = customer
        self.store()
        try:
            async with self.features.database.control() as session:
                await self.features.subscriptions.link_customer(session, tenant.id, customer, origin=SYSTEM)
        except (CustomerTaken, CustomerLinked) as error:
            raise SetUpFailed(f"Tenant {tenant.slug!r} has a Stripe customer that is gone. {_RESET}") from error
        return customer

    async def ensure_data(self, tenant: Tenant, demo: DemoTenant, resources: str) -> None:
        """Contacts and deals, when ``resources`` is the example's module and the tenant has none yet."""
        known = self.state.tenants[tenant.slug]
        if known.has_data or resources != DEMO_RESOURCES:
            return
        async with self.features.database.tenant(tenant_reference(tenant)) as session:
            contacts = self.registry["contacts"]
            created = [await crud.create(session, contacts, values, origin=SYSTEM) for values in demo.contacts]
            for position, values in demo.deals:
                deal = {**values, "contact_id": created[position].id}
                await crud.create(session, self.registry["deals"], deal, origin=SYSTEM)
            known.has_data = True
            self.store()

    async def _find(self, slug: str) -> Tenant | None:
        try:
            async with self.features.database.control() as session:
                return await self.features.directory.read_by_slug(session, slug)
        except NotFound:
            return None

    async def _create(self, demo: DemoTenant, plan: str) -> Tenant:
        members = [_demo_user(role, demo.slug) for role in USER_ROLES]
        users = self.features.people.users
        hashes = [await users.hash_password(each.password, each.email) for each in members]
        async with self.features.database.control() as session:
            request = CreateTenant(slug=demo.slug, name=demo.name, plan=plan)
            made = await self.features.onboarding.create(session, request, origin=SYSTEM)
            keys = {"admin": made.key.secret, **await self._keys(session, made.tenant.id)}
            for member, password_hash in zip(members, hashes, strict=True):
                await self._add_member(session, made.tenant.id, member, password_hash)
            self.state.tenants[demo.slug] = TenantState(id=show(TENANT, made.tenant.id), keys=keys, users=members)
            self.store()
        return made.tenant

    async def _keys(self, session: ControlSession, tenant: TenantId) -> dict[str, str]:
        api_keys = self.features.api_keys
        keys = {}
        for role in KEY_ROLES:
            if role != BuiltInRole.ADMIN:  # onboarding has created the admin's
                requested = CreateApiKey(name=f"demo {role}", role=role)
                made = await api_keys.create(session, tenant, None, requested, origin=SYSTEM)
                keys[role] = made.secret
        return keys

    async def _add_member(
        self, session: ControlSession, tenant: TenantId, member: DemoUser, password_hash: str
    ) -> None:
        users = self.features.people.users
        user = await users.ensure(session, member.email, f"Demo {member.role}")
        await users.set_password(session, UserId(user.id), password_hash)
        roles = [BuiltInRole(member.role)]
        await self.features.people.members.put(session, tenant, UserId(user.id), roles, origin=SYSTEM)


def _demo_user(role: str, slug: str) -> DemoUser:
    return DemoUser(email=email_of(role, slug), password=f"demo-{token_urlsafe(18)}", role=role)
