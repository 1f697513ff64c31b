"""The checks of `tenantry doctor`."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import psycopg
import redis
from sqlalchemy.exc import SQLAlchemyError

from gateway.routing.saas import permissions_of
from gateway.settings import Mode, Settings
from migrations.servable import Release
from migrations.status import control_status, fleet_status
from tenants.database.inspection import Inspection, confirmed_ago, inspect
from tenants.database.names import GATEWAY_ROLE
from tenants.resources.errors import DeclarationError
from tenants.resources.registry import Registry, load_registry

_OLDEST_SERVER = 150000  # PostgreSQL 15: PUBLIC may not create in schema public any more
_REDIS_TIMEOUT = 2.0  # seconds
_SHOWN_TENANTS = 10
_SILENT_AFTER = 10.0  # seconds without a heartbeat of a worker, which sends more than two a second


class Verdict(StrEnum):
    GOOD = "good"
    WARNING = "warning"  # works, but is less safe or slower than it could be
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check; ``what`` says what to do when it is not good."""

    name: str
    verdict: Verdict
    what: str


def examine(settings: Settings) -> Iterator[Check]:
    """Every check that is possible; those that depend on a failed one are left out."""
    yield _mode(settings)
    registry, check = _resources(settings)
    yield check
    yield from _database(settings, registry)
    yield _redis(settings)
    yield _stripe(settings)
    yield _audit_checkpoints(settings)


def _mode(settings: Settings) -> Check:
    if settings.mode is Mode.PRODUCTION:
        return Check("mode", Verdict.GOOD, "production")
    return Check("mode", Verdict.WARNING, "development: set TENANTRY_MODE=production when other machines can reach it")


def _resources(settings: Settings) -> tuple[Registry, Check]:
    try:
        registry = load_registry(settings.resources)
        permissions_of(registry)  # checks the routers too
        Release.of(registry)
    except DeclarationError as error:
        return Registry(), Check("resources", Verdict.WRONG, str(error))
    return registry, Check("resources", Verdict.GOOD, ", ".join(registry.names) or "none declared")


def _database(settings: Settings, registry: Registry) -> Iterator[Check]:
    try:
        found = inspect(str(settings.database_url))
    except psycopg.OperationalError as error:
        yield Check("database", Verdict.WRONG, f"cannot connect to PostgreSQL: {_first_line(error)}")
        return
    if found.server_version_number < _OLDEST_SERVER:
        yield Check("database", Verdict.WRONG, f"PostgreSQL {found.server_version} is too old; 15 is the oldest")
        return
    yield Check("database", Verdict.GOOD, f"PostgreSQL {found.server_version}")
    yield _login_role(found)
    yield from _revokes(found)
    yield _control_schema(settings, found)
    yield _tenants(settings, registry, found)
    yield _workers(settings, found)


def _login_role(found: Inspection) -> Check:
    faults = {
        "is a superuser": found.superuser,
        "bypasses row security": found.bypasses_row_security,
        "may create roles": found.creates_roles,
        "inherits the rights of every tenant (needs NOINHERIT)": found.inherits,
        "has a search_path of its own (needs an empty one)": found.search_path not in {"", '""'},
        "is not a member of the control role": not found.may_become_control,
        "may not call set_config": not found.may_set_config,
    }
    wrong = [fault for fault, holds in faults.items() if holds]
    if wrong:
        advice = f"use the role {GATEWAY_ROLE}, which `tenantry migrate` creates with TENANTRY_ADMIN_DATABASE_URL"
        return Check("login role", Verdict.WRONG, f"{found.role} {'; '.join(wrong)}: {advice}")
    return Check("login role", Verdict.GOOD, f"{found.role} has no rights of its own")


def _revokes(found: Inspection) -> Iterator[Check]:
    rights: tuple[tuple[str, bool, str], ...] = (
        ("set_config", found.everybody_sets_config, "EXECUTE ON FUNCTION set_config(text, text, boolean)"),
        ("pg_settings", found.everybody_updates_settings, "UPDATE ON pg_settings"),
        ("pg_notify", found.everybody_notifies, "EXECUTE ON FUNCTION pg_notify(text, text)"),
        ("catalog", found.everybody_reads_the_catalog, "SELECT ON pg_catalog's tables"),
        ("connect", found.everybody_connects, "CONNECT ON DATABASE"),
        ("public schema", found.everybody_creates_in_public, "CREATE ON SCHEMA public"),
    )
    for name, open_to_all, right in rights:
        if open_to_all:
            what = f"PUBLIC has {right}: an injected statement could read other tenants' data, or leave its tenant. "
            what += "Revoke it as a superuser; where the server forbids that, its isolation is weaker"
            yield Check(f"revoke {name}", Verdict.WRONG, what)
        else:
            yield Check(f"revoke {name}", Verdict.GOOD, f"PUBLIC has no {right}")


def _control_schema(settings: Settings, found: Inspection) -> Check:
    name = "control schema"
    if not found.control_schema_exists:
        return Check(name, Verdict.WRONG, "it does not exist: run `tenantry migrate`")
    if settings.owner_database_url is None:
        return Check(name, Verdict.WARNING, "exists; its revision cannot be read without TENANTRY_OWNER_DATABASE_URL")
    owner_url = str(settings.owner_database_url)
    return _queried(name, lambda: _control_revision(name, owner_url))


def _control_revision(name: str, owner_url: str) -> Check:
    status = control_status(owner_url)
    if status.current == status.target:
        return Check(name, Verdict.GOOD, f"at revision {', '.join(status.current)}")
    found, expected = ", ".join(status.current) or "none", ", ".join(status.target)
    return Check(name, Verdict.WRONG, f"at revision {found}, expected {expected}: run `tenantry migrate`")


def _tenants(settings: Settings, registry: Registry, found: Inspection) -> Check:
    name = "tenant schemas"
    if not found.control_schema_exists or not found.may_become_control:
        return Check(name, Verdict.WARNING, "cannot be checked before the control schema")
    return _queried(name, lambda: _behind(name, settings, registry))


def _workers(settings: Settings, found: Inspection) -> Check:
    name = "workers"
    if not found.control_schema_exists or not found.may_become_control:
        return Check(name, Verdict.WARNING, "cannot be checked before the control schema")
    try:
        workers = confirmed_ago(str(settings.database_url))
    except psycopg.Error as error:
        return Check(name, Verdict.WARNING, f"cannot be read before `tenantry migrate`: {_first_line(error)}")
    if not workers:
        return Check(name, Verdict.GOOD, "none is running")
    (oldest, seconds), running = workers[0], f"{len(workers)} running"
    if seconds > _SILENT_AFTER:
        what = f"{running}; {oldest} has sent no heartbeat for {seconds:.0f} s: one change of rights will wait for it"
        return Check(name, Verdict.WARNING, what)
    return Check(name, Verdict.GOOD, f"{running}; oldest confirmation {seconds:.1f} s ago, of {oldest}")


def _behind(name: str, settings: Settings, registry: Registry) -> Check:
    release, behind = Release.of(registry), fleet_status(str(settings.database_url), registry.migrations)
    refused = [tenant.slug for tenant in behind if not release.serves(tenant.revisions, tenant.columns)]
    if refused:
        return Check(name, Verdict.WRONG, f"answer 503 until migrated: {_shown(refused)}; run `tenantry migrate`")
    if behind:
        slugs = _shown([tenant.slug for tenant in behind])
        return Check(name, Verdict.WARNING, f"behind: {slugs}; served as they are, run `tenantry migrate`")
    return Check(name, Verdict.GOOD, "every tenant is up to date")


def _shown(slugs: list[str]) -> str:
    more = f" and {len(slugs) - _SHOWN_TENANTS} more" if len(slugs) > _SHOWN_TENANTS else ""
    return ", ".join(slugs[:_SHOWN_TENANTS]) + more


def _queried(name: str, query: Callable[[], Check]) -> Check:
    try:
        return query()
    except SQLAlchemyError as error:
        return Check(name, Verdict.WRONG, f"PostgreSQL refused the query: {_first_line(error)}")


def _redis(settings: Settings) -> Check:
    if settings.redis_url is None:
        what = f"none: each of {settings.workers} workers grants its share of every limit (TENANTRY_REDIS_URL)"
        return Check("redis", Verdict.WARNING, what)
    timeouts = {"socket_timeout": _REDIS_TIMEOUT, "socket_connect_timeout": _REDIS_TIMEOUT}
    try:
        with redis.Redis.from_url(str(settings.redis_url), **timeouts) as client:
            version = client.info("server")["redis_version"]
            policy = _eviction(client)
    except redis.RedisError as error:
        return Check("redis", Verdict.WRONG, f"it is unavailable: {_first_line(error)}")
    if policy is None:
        return Check("redis", Verdict.WARNING, "its maxmemory-policy cannot be read: make sure that it is noeviction")
    if policy != "noeviction":
        return Check("redis", Verdict.WARNING, f"maxmemory-policy {policy} can evict counters: use noeviction")
    return Check("redis", Verdict.GOOD, f"Redis {version}")


def _eviction(client: redis.Redis) -> str | None:
    """None where the server does not allow CONFIG, as managed ones do."""
    try:
        return str(client.config_get("maxmemory-policy")["maxmemory-policy"])
    except redis.ResponseError:
        return None


def _stripe(settings: Settings) -> Check:
    if settings.stripe_api_key is None:
        return Check("stripe", Verdict.WARNING, "no key: billing is off (TENANTRY_STRIPE_API_KEY)")
    if not settings.webhook_secrets:
        return Check("stripe", Verdict.WRONG, "TENANTRY_STRIPE_WEBHOOK_SECRETS is missing: no event can be verified")
    return Check("stripe", Verdict.GOOD, f"at {settings.stripe_api_base}")


def _audit_checkpoints(settings: Settings) -> Check:
    name, folder = "audit checkpoints", settings.audit_checkpoints
    if folder is None:
        what = "only in the worker's log: keep it, or set TENANTRY_AUDIT_CHECKPOINTS to a folder outside the database"
        return Check(name, Verdict.WARNING, what)
    existing = next((each for each in (folder, *folder.absolute().parents) if each.exists()), folder)
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        return Check(name, Verdict.WRONG, f"{folder} cannot be written: a rewritten audit log would not be noticed")
    return Check(name, Verdict.GOOD, f"in {folder}")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
