"""A deployment to measure: real PostgreSQL and Redis, and tenants on plans whose limits are never reached.

Servers under test are pinned to the first core, everything else to the last.
"""

import asyncio
import base64
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.servers import LOAD_CORE, SERVER_CORE, Servers
from billing.plans.schemas import PlanSpec, WindowSpec
from gateway.development.postgres import LocalPostgres
from gateway.development.redis import LocalRedis
from gateway.services import Services, build_services
from gateway.settings import Settings
from migrations.runner import migrate_control, migrate_tenants
from tenants.audit.origin import SYSTEM
from tenants.database.cluster import ClusterUrls, set_up_cluster
from tenants.database.names import tenant_schema
from tenants.identifiers import TenantId
from tenants.onboarding.schemas import CreateTenant
from tenants.resources.registry import load_registry
from tenants.sign_in.signing_keys import generate_signing_keys

DATABASE = "bench"
PLAN, ONE_WINDOW, FIVE_WINDOWS = "bench", "one-window", "five-windows"
_RESOURCES = "examples.crm.resources"
_ACCESS_LOG_SHARE = "0.01"  # of requests
_WINDOW_SECONDS = {"burst": 1, "minute": 60, "hour": 3_600, "day": 86_400, "month": 31 * 86_400}
_QUOTA = 1_000_000_000  # of each window: never reached
_WINDOWS = {PLAN: 3, ONE_WINDOW: 1, FIVE_WINDOWS: 5}


@dataclass(frozen=True, slots=True)
class BenchmarkTenant:
    """A tenant and its API key."""

    api_key: str
    schema: str  # also the name of its role

    @property
    def headers(self) -> dict[str, str]:
        return {"X-API-Key": self.api_key}


@dataclass(frozen=True, slots=True)
class Deployment:
    """The running parts and the first tenant."""

    environment: dict[str, str]
    owner_url: str
    superuser_url: str
    servers: Servers
    tenant: BenchmarkTenant

    def add_tenant(self, slug: str, plan: str = PLAN) -> BenchmarkTenant:
        """Create a tenant with its schema and a key."""
        return asyncio.run(_add_tenant(self.environment, slug, plan))

    def add_plan(self, plan: PlanSpec) -> None:
        """Create a plan."""
        asyncio.run(_add_plan(self.environment, plan))

    def servers_of(self, checkout: Path) -> Servers:
        """Servers that run the code of another checkout, on the same database."""
        return replace(self.servers, checkout=checkout.resolve())


@contextmanager
def open_deployment() -> Iterator[Deployment]:
    """Start everything, with one tenant, and remove it afterwards."""
    if SERVER_CORE == LOAD_CORE:
        raise SystemExit("The benchmarks need two CPU cores: one for the server under test, one for everything else.")
    os.sched_setaffinity(0, {LOAD_CORE})
    folder = Path(tempfile.mkdtemp(prefix="tenantry-bench-"))
    folder.chmod(0o711)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        postgres, redis = LocalPostgres(folder / "postgres", durable=False), LocalRedis(folder / "redis")
        for part in (postgres, redis):
            stack.callback(part.stop)
            part.start()
        urls = set_up_cluster(postgres.superuser_url, DATABASE, owner_password="owner", gateway_password="gateway")  # noqa: S106
        environment = _environment(urls, redis) | {"TENANTRY_USAGE_FOLDER": str(folder / "usage")}
        asyncio.run(_add_plans(environment))
        servers = Servers(folder, environment, stack, Path.cwd())
        tenant = asyncio.run(_add_tenant(environment, "bench", PLAN))
        yield Deployment(environment, urls.owner, postgres.superuser_url, servers, tenant)


def _environment(urls: ClusterUrls, redis: LocalRedis) -> dict[str, str]:
    migrate_control(urls.owner)
    migrate_tenants(urls.owner, load_registry(_RESOURCES).migrations)
    secret = base64.b64encode(secrets.token_bytes(32)).decode()
    return {
        **os.environ,
        "TENANTRY_DATABASE_URL": urls.gateway,
        "TENANTRY_REDIS_URL": redis.url,
        "TENANTRY_KEY_PEPPERS": f"1:{secret}",
        "TENANTRY_SECRET_KEY": secret,
        "TENANTRY_SIGNING_KEYS": generate_signing_keys("bench"),
        "TENANTRY_RESOURCES": _RESOURCES,
        "TENANTRY_TRUSTED_PROXIES": "127.0.0.1",  # so that the load can have many source addresses
        "TENANTRY_ACCESS_LOG_SHARE": _ACCESS_LOG_SHARE,
        "TENANTRY_STOP_NOTICE_SECONDS": "0",
        "TENANTRY_DECISION_NETWORKS": "127.0.0.1",
        "TENANTRY_MANAGEMENT_REQUESTS": str(_QUOTA),
        "TENANTRY_PRINCIPAL_MANAGEMENT_REQUESTS": str(_QUOTA),
    }


async def _add_plans(environment: dict[str, str]) -> None:
    lengths = list(_WINDOW_SECONDS.items())
    async with _services(environment) as services, services.database.control() as session:
        for rank, (code, count) in enumerate(_WINDOWS.items()):
            windows = [WindowSpec(name=name, quota=_QUOTA, window_seconds=each) for name, each in lengths[:count]]
            await services.features.plans.create(
                session, PlanSpec(code=code, name=code, rank=rank, windows=tuple(windows)), origin=SYSTEM
            )


async def _add_tenant(environment: dict[str, str], slug: str, plan: str) -> BenchmarkTenant:
    async with _services(environment) as services, services.database.control() as session:
        made = await services.features.onboarding.create(
            session, CreateTenant(slug=slug, name="Benchmark", plan=plan), origin=SYSTEM
        )
    return BenchmarkTenant(made.key.secret, tenant_schema(TenantId(made.tenant.id)))


async def _add_plan(environment: dict[str, str], plan: PlanSpec) -> None:
    async with _services(environment) as services, services.database.control() as session:
        await services.features.plans.create(session, plan, origin=SYSTEM)


@asynccontextmanager
async def _services(environment: dict[str, str]) -> AsyncIterator[Services]:
    services = build_services(settings_of(environment))
    try:
        yield services
    finally:
        await services.database.close()
        services.features.passwords.close()


def settings_of(environment: dict[str, str]) -> Settings:
    """The settings for this environment."""
    values = {name.removeprefix("TENANTRY_").lower(): value for name, value in environment.items()}
    return Settings.model_validate(values)
