"""A deployment to measure: real PostgreSQL and Redis, one tenant on a plan that never throttles, worker processes.

Servers under test are pinned to the first core, everything else to the second.
"""

import asyncio
import base64
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from billing.plans import service as plans
from billing.plans.schemas import PlanSpec, WindowSpec
from gateway.development.postgres import LocalPostgres
from gateway.development.processes import Child, Launch, free_port, wait_until
from gateway.development.redis import LocalRedis
from gateway.services import Services, build_services
from gateway.settings import Settings
from migrations.runner import migrate_control, migrate_tenants
from tenants.database.cluster import ClusterUrls, set_up_cluster
from tenants.database.names import tenant_schema
from tenants.identifiers import TenantId
from tenants.onboarding.schemas import CreateTenant
from tenants.resources.registry import load_registry
from tenants.sign_in.signing_keys import generate_signing_keys

SERVER_CORE, OTHER_CORE = 0, 1
_RESOURCES = "examples.crm.resources"
_PLAN = PlanSpec(
    code="bench",
    name="Benchmark",
    rank=0,
    windows=(
        WindowSpec(name="burst", quota=100_000_000, window_seconds=1),
        WindowSpec(name="sustained", quota=1_000_000_000, window_seconds=60),
        WindowSpec(name="daily", quota=1_000_000_000, window_seconds=86_400),
    ),
)
_STARTS_WITHIN = 20.0  # seconds


@dataclass(frozen=True, slots=True)
class Caller:
    """A tenant, by its key."""

    api_key: str
    schema: str  # its role bears the same name

    @property
    def headers(self) -> dict[str, str]:
        return {"X-API-Key": self.api_key}


@dataclass(slots=True)
class Stand:
    """What is measured against. ``serve`` starts one more server; all end with the stand."""

    folder: Path
    environment: dict[str, str]
    owner_url: str
    stack: ExitStack
    tenant: Caller
    ports: list[int] = field(default_factory=list)

    @property
    def api_key(self) -> str:
        """Of the tenant that is there from the start."""
        return self.tenant.api_key

    def add_tenant(self, slug: str) -> Caller:
        """One more tenant on the plan that never throttles, and its first key."""
        return asyncio.run(_add_tenant(self.environment, slug))

    def serve(self, application: str, **environment: str) -> tuple[str, Child]:
        """An ASGI application factory in a uvicorn of its own, on the server core: its base URL and its process."""
        port = free_port()
        options = ["--factory", "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--no-server-header"]
        command = [sys.executable, "-m", "uvicorn", application, "--port", str(port), "--log-level", "warning"]
        pinned = ["taskset", "-c", str(SERVER_CORE), *command, *options]
        log = self.folder / f"server-{port}.log"
        child = Child(Launch(command=pinned, folder=Path.cwd(), log=log, environment=self.environment | environment))
        self.stack.callback(child.stop)
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(url), child, _STARTS_WITHIN, application)
        return url, child


@contextmanager
def open_stand() -> Iterator[Stand]:
    """Servers, schemas, one tenant and its key; all of it gone afterwards."""
    os.sched_setaffinity(0, {OTHER_CORE})
    folder = Path(tempfile.mkdtemp(prefix="tenantry-bench-"))
    folder.chmod(0o711)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        postgres, redis = LocalPostgres(folder / "postgres", durable=False), LocalRedis(folder / "redis")
        for part in (postgres, redis):
            stack.callback(part.stop)
            part.start()
        urls = set_up_cluster(postgres.superuser_url, "bench", owner_password="owner", gateway_password="gateway")  # noqa: S106
        environment = _environment(urls, redis) | {"TENANTRY_USAGE_FOLDER": str(folder / "usage")}
        asyncio.run(_add_plan(environment))
        yield Stand(folder, environment, urls.owner, stack, asyncio.run(_add_tenant(environment, "bench")))


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
        "TENANTRY_TRUSTED_PROXIES": "127.0.0.1",  # the load can come from many senders
        "PYTHONPATH": str(Path.cwd()),
    }


async def _add_plan(environment: dict[str, str]) -> None:
    async with _services(environment) as services, services.database.control() as session:
        await plans.create(session, _PLAN)


async def _add_tenant(environment: dict[str, str], slug: str) -> Caller:
    async with _services(environment) as services, services.database.control() as session:
        wanted = CreateTenant(slug=slug, name="Benchmark", plan=_PLAN.code)
        made = await services.identity.onboarding.create(session, wanted)
    return Caller(made.key.secret, tenant_schema(TenantId(made.tenant.id)))


@asynccontextmanager
async def _services(environment: dict[str, str]) -> AsyncIterator[Services]:
    services = build_services(settings_of(environment))
    try:
        yield services
    finally:
        await services.database.close()
        services.identity.close()


def settings_of(environment: dict[str, str]) -> Settings:
    """The settings of a server with this environment."""
    named = {name.removeprefix("TENANTRY_").lower(): value for name, value in environment.items()}
    return Settings.model_validate(named)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).status_code > 0
    except httpx.TransportError:
        time.sleep(0.05)
        return False


def cpu_seconds(child: Child) -> float:
    """User and system time that the process has used."""
    fields = Path(f"/proc/{child.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_megabytes(child: Child) -> float:
    """Resident memory of the process."""
    pages = int(Path(f"/proc/{child.pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
