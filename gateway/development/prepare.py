"""All that the demo needs before it can be served, done or found done. Leaves settings and demo in the data folder."""

import asyncio
import json
from typing import Any

from sqlalchemy.engine import make_url

from billing.plans.catalogue import Catalogue, read_catalogue
from gateway.development.data_folder import DataFolder
from gateway.development.demo_data import TENANTS, DemoTenant
from gateway.development.demo_tenants import DemoTenants
from gateway.development.environment import demo_environment, demo_settings, write_environment
from gateway.development.folders import write_secret
from gateway.development.handover import Handover
from gateway.development.ports import PartFailed
from gateway.development.saved import Saved, load_saved, store_saved
from gateway.development.shop import Shop
from gateway.features import Features, opened
from gateway.settings import Settings
from migrations.runner import migrate_control, migrate_tenants
from tenants.database.cluster import ClusterUrls, set_up_cluster
from tenants.database.inspection import inspect
from tenants.database.names import tenant_role, tenant_schema
from tenants.directory.models import Tenant
from tenants.resources.registry import Registry, load_registry

_DATABASE = "tenantry"
_DEFAULT_RANK = 0


def prepare(handover: Handover) -> DataFolder:
    """Bring server, schemas, Stripe and tenants to what the demo is. Raises PartFailed, and what the parts raise."""
    folder = DataFolder(handover.folder)
    saved = load_saved(folder.saved)
    urls = _server(handover, saved)
    migrate_control(urls.owner)
    with Shop(handover.stripe_url, handover.stripe_api_key) as shop:
        saved.stripe = shop.endpoint(saved.stripe, f"{handover.base_url}/webhooks/stripe")
        saved.stripe.prices = shop.prices()
        store_saved(folder.saved, saved)
        write_environment(folder.environment, demo_environment(handover, saved, urls))
        settings = demo_settings(folder.environment)
        registry = load_registry(settings.resources)
        _migrate_tenants(urls, registry)
        tenants = asyncio.run(_fill(settings, registry, saved, folder, shop))
    write_secret(folder.prepared, json.dumps(_demo(handover, saved, settings, tenants), indent=2) + "\n")
    return folder


def _server(handover: Handover, saved: Saved) -> ClusterUrls:
    if handover.owner_url is not None:
        return ClusterUrls(gateway=handover.postgres_url, owner=handover.owner_url)
    if not inspect(handover.postgres_url).superuser:
        raise PartFailed(
            "TENANTRY_DATABASE_URL names a role that is no superuser: it cannot make roles and revokes. Name a "
            "superuser of a server for development, or set TENANTRY_OWNER_DATABASE_URL as well, to the role that owns "
            "the schemas of a database that is set up."
        )
    name = make_url(handover.postgres_url).database
    return set_up_cluster(
        handover.postgres_url,
        _DATABASE if name in {None, "postgres"} else str(name),
        owner_password=saved.owner_password,
        gateway_password=saved.gateway_password,
    )


def _migrate_tenants(urls: ClusterUrls, registry: Registry) -> None:
    report = migrate_tenants(urls.owner, registry.migrations)
    if not report.complete:
        failed = "; ".join(f"{each.tenant.slug}: {each.error}" for each in report.failed)
        raise PartFailed(f"Some tenants could not be migrated: {failed}")


async def _fill(
    settings: Settings, registry: Registry, saved: Saved, folder: DataFolder, shop: Shop
) -> list[tuple[DemoTenant, Tenant, str]]:
    catalogue = _catalogue(registry).priced(saved.stripe.prices)
    async with opened(settings) as features:
        async with features.database.control() as session:
            await features.plans.seed(session, catalogue)
        tenants = DemoTenants(features, registry, saved, lambda: store_saved(folder.saved, saved))
        made = []
        for wanted in TENANTS:
            tenant = await tenants.ensure(wanted, wanted.plan)
            customer = await tenants.ensure_customer(tenant, shop)
            if wanted.plan in saved.stripe.prices:
                shop.subscribe(customer, saved.stripe.prices[wanted.plan])
            await tenants.ensure_data(tenant, wanted)
            made.append((wanted, tenant, customer))
        await _ensure_operator_key(features, saved)
        store_saved(folder.saved, saved)
    return made


def _catalogue(registry: Registry) -> Catalogue:
    """The plans that lie beside the declared resources."""
    for migrations in registry.migrations:
        file = migrations.parent / "plans.toml"
        if file.is_file():
            return read_catalogue(file)
    raise PartFailed("There is no plans.toml beside the module that TENANTRY_RESOURCES names.")


async def _ensure_operator_key(features: Features, saved: Saved) -> None:
    operator_keys = features.operator_keys
    if saved.operator_key and await operator_keys.recognise(features.database, [saved.operator_key]):
        return
    async with features.database.control() as session:
        saved.operator_key = (await operator_keys.create(session, "demo operator")).secret


def _demo(
    handover: Handover, saved: Saved, settings: Settings, tenants: list[tuple[DemoTenant, Tenant, str]]
) -> dict[str, Any]:
    return {
        "base_url": handover.base_url,
        "operator_key": saved.operator_key,
        "database_url": str(settings.database_url),
        "owner_database_url": str(settings.owner_database_url),
        "redis_url": handover.redis_url,
        "stripe": {
            "api_base": handover.stripe_url,
            "api_key": handover.stripe_api_key,
            "webhook_secret": saved.stripe.webhook_secret,
            "prices": saved.stripe.prices,
        },
        "mail_url": handover.mail_url,
        "tenants": [_demo_tenant(tenant, saved, customer) for _, tenant, customer in tenants],
    }


def _demo_tenant(tenant: Tenant, saved: Saved, customer: str) -> dict[str, Any]:
    known = saved.tenants[tenant.slug]
    return {
        "id": known.id,
        "slug": tenant.slug,
        "schema": tenant_schema(tenant.id),
        "role": tenant_role(tenant.id),
        "plan": tenant.plan_code,
        "stripe_customer": customer,
        "keys": known.keys,
        "users": [user.model_dump() for user in known.users],
    }
