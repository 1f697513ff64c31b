"""Sets up everything that the demo needs before it is served. Writes its settings and addresses to the data folder."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from gateway.development.data_folder import DataFolder
from gateway.development.demo_data import TENANTS, DemoTenant
from gateway.development.demo_state import DemoState, load_state, store_state
from gateway.development.demo_tenants import DemoTenants
from gateway.development.environment import demo_environment, demo_settings, write_environment
from gateway.development.folders import write_secret
from gateway.development.next_steps import Demo, next_steps
from gateway.development.options import PrepareInput
from gateway.development.project import Project, load_project
from gateway.development.servers import SetUpFailed
from gateway.development.stripe_account import StripeAccount
from gateway.features import Features, opened
from gateway.settings import Settings
from migrations.blueprint import DatabaseIsNewer
from migrations.fleet import Outcome
from migrations.locks import LockWait, StillLocked
from migrations.runner import migrate_control, migrate_tenants
from migrations.servable import Release
from tenants.audit.origin import SYSTEM
from tenants.database.cluster import ClusterUrls, set_up_cluster
from tenants.database.inspection import inspect
from tenants.database.names import tenant_role, tenant_schema
from tenants.directory.models import Tenant
from tenants.operator_keys.schemas import CreateOperatorKey
from tenants.principal import OperatorRole

_DATABASE = "tenantry"
_SHOWN_FAILURES = 5
_LOCK_WAIT = LockWait(total=3.0)  # a developer waits for the start
_DEMO_OPERATOR = CreateOperatorKey(name="demo operator", role=OperatorRole.ADMIN)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """One demo tenant, and the Stripe customer that pays for it."""

    tenant: Tenant
    customer: str


def prepare(given: PrepareInput) -> DataFolder:
    """Set up the database, Stripe and the tenants. Raises SetUpFailed, and errors of the servers."""
    folder = DataFolder(given.folder)
    state = load_state(folder.state)
    try:
        urls = _set_up_database(given, state)
        migrate_control(urls.owner, _LOCK_WAIT)
    except StillLocked as error:
        raise SetUpFailed(_blocked(error)) from error
    except (psycopg.OperationalError, OperationalError) as error:
        raise SetUpFailed(f"The database is unavailable: {str(error).strip().splitlines()[0]}") from error
    project = load_project(given.resources, urls.owner, state.compared)
    state.compared = project.compared
    with StripeAccount(given.stripe_url, given.stripe_api_key) as account:
        state.stripe = account.ensure_endpoint(state.stripe, f"{given.base_url}/webhooks/stripe")
        state.stripe.prices = account.ensure_prices(project.paid_plans)
        store_state(folder.state, state)
        write_environment(folder.environment, demo_environment(given, state, urls, project.plan_at(0)))
        settings = demo_settings(folder.environment)
        migrate_fleet(urls.owner, project)
        tenants = asyncio.run(
            _Preparation(settings, project, state, folder, account, given.upstream_url).run(given.resources)
        )
    demo = _demo(given, state, settings, tenants)
    write_secret(folder.prepared, json.dumps(demo, indent=2) + "\n")
    plan = tenants[0].tenant.plan_code
    write_secret(folder.next_steps, next_steps(Demo(demo, project, plan, folder.demo, folder.environment)))
    return folder


def _set_up_database(given: PrepareInput, state: DemoState) -> ClusterUrls:
    if given.owner_url is not None:
        return ClusterUrls(gateway=given.postgres_url, owner=given.owner_url)
    if not inspect(given.postgres_url).superuser:
        raise SetUpFailed(
            "The role in TENANTRY_DATABASE_URL is not a superuser, so it cannot create roles. Name a superuser of a "
            "development server; or set TENANTRY_OWNER_DATABASE_URL as well, to the role that owns the schemas of a "
            "database that is set up already."
        )
    name = make_url(given.postgres_url).database
    return set_up_cluster(
        given.postgres_url,
        _DATABASE if name in {None, "postgres"} else str(name),
        owner_password=state.owner_password,
        gateway_password=state.gateway_password,
    )


def migrate_fleet(owner_url: str, project: Project, wait: LockWait = _LOCK_WAIT) -> None:
    """Migrate the tenants. A failed one is a note while the project can serve it, else SetUpFailed is raised."""
    try:
        report = migrate_tenants(owner_url, project.registry.migrations, wait=wait)
    except StillLocked as error:
        raise SetUpFailed(_blocked(error)) from error
    except DatabaseIsNewer as error:
        raise SetUpFailed(f"{error} Restore the revisions that were applied, or start with --reset.") from error
    release = Release.of(project.registry)
    refused = [each for each in report.failed if not release.serves(each.tenant.revisions, each.tenant.columns)]
    if refused:
        raise SetUpFailed(f"The migration of {len(refused)} tenants failed: {_shown(refused)}")
    if report.failed:
        failed = _shown(report.failed)
        project.notes.append(
            f"The migration of {len(report.failed)} tenants failed; they are served as they are: {failed}"
        )


def _blocked(error: StillLocked) -> str:
    return f"{error} {'; '.join(map(str, error.holders))}"


def _shown(failed: Sequence[Outcome]) -> str:
    return "; ".join(f"{each.tenant.slug}: {each.error}" for each in failed[:_SHOWN_FAILURES])


@dataclass(frozen=True, slots=True)
class _Preparation:
    """The steps that use the services: plans, tenants, keys, data."""

    settings: Settings
    project: Project
    state: DemoState
    folder: DataFolder
    account: StripeAccount
    upstream_url: str

    async def run(self, resources: str) -> list[_Prepared]:
        catalogue = self.project.catalogue.priced(self.state.stripe.prices)
        async with opened(self.settings) as features:
            async with features.database.control() as session:
                await features.plans.seed(session, catalogue, origin=SYSTEM)
            if self.project.routes is not None:
                await self.project.routes.apply(features, self.upstream_url)
            tenants = DemoTenants(features, self.project.registry, self.state, self._store)
            prepared = [await self._tenant(tenants, demo, resources) for demo in TENANTS]
            await self._ensure_operator_key(features)
            self._store()
        return prepared

    async def _tenant(self, tenants: DemoTenants, demo: DemoTenant, resources: str) -> _Prepared:
        plan = self.project.plan_at(demo.plan)
        tenant = await tenants.ensure(demo, plan)
        customer = await tenants.ensure_customer(tenant, self.account)
        if plan in self.state.stripe.prices:
            self.account.ensure_subscription(customer, self.state.stripe.prices[plan])
        await tenants.ensure_data(tenant, demo, resources)
        return _Prepared(tenant, customer)

    async def _ensure_operator_key(self, features: Features) -> None:
        operator_keys, saved = features.operator_keys, self.state.operator_key
        if saved and await operator_keys.recognise(features.database, [saved]):
            return
        async with features.database.control() as session:
            self.state.operator_key = (await operator_keys.create(session, _DEMO_OPERATOR, origin=SYSTEM)).secret

    def _store(self) -> None:
        store_state(self.folder.state, self.state)


def _demo(given: PrepareInput, state: DemoState, settings: Settings, tenants: list[_Prepared]) -> dict[str, Any]:
    return {
        "base_url": given.base_url,
        "operator_key": state.operator_key,
        "database_url": str(settings.database_url),
        "owner_database_url": str(settings.owner_database_url),
        "redis_url": given.redis_url,
        "stripe": {
            "api_base": given.stripe_url,
            "api_key": given.stripe_api_key,
            "webhook_secret": state.stripe.webhook_secret,
            "prices": state.stripe.prices,
        },
        "mail_url": given.mail_url,
        "upstream_url": given.upstream_url,
        "tenants": [_demo_tenant(each, state) for each in tenants],
    }


def _demo_tenant(prepared: _Prepared, state: DemoState) -> dict[str, Any]:
    tenant = prepared.tenant
    known = state.tenants[tenant.slug]
    return {
        "id": known.id,
        "slug": tenant.slug,
        "schema": tenant_schema(tenant.id),
        "role": tenant_role(tenant.id),
        "plan": tenant.plan_code,
        "stripe_customer": prepared.customer,
        "keys": known.keys,
        "users": [user.model_dump() for user in known.users],
    }
