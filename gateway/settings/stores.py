"""Settings of what keeps data and counts: PostgreSQL, Redis, and the journals of usage."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, Field, PostgresDsn, RedisDsn, model_validator

from gateway.throttle.settings import ThrottleSettings
from gateway.usage.settings import UsageSettings
from tenants.settings import DatabaseSettings


class DatabaseGroup(BaseModel):
    """PostgreSQL."""

    database_url: Annotated[
        PostgresDsn, Field(repr=False, description="PostgreSQL, as the login role of the gateway's workers.")
    ]
    owner_database_url: Annotated[
        PostgresDsn | None,
        Field(repr=False, description="PostgreSQL, as the owner of the schemas; only `tenantry migrate` needs it."),
    ] = None
    admin_database_url: Annotated[
        PostgresDsn | None,
        Field(
            repr=False, description="PostgreSQL, as a superuser; if set, `tenantry migrate` creates roles and database."
        ),
    ] = None
    database_pool_size: Annotated[
        int, Field(ge=2, le=200, description="Maximum connections of one worker, beside the one that listens.")
    ] = 10

    @property
    def database(self) -> DatabaseSettings:
        """What ``tenants/database`` needs."""
        sessions = max(1, self.database_pool_size * 2 // 5)
        return DatabaseSettings(
            url=str(self.database_url),
            statement_connections=self.database_pool_size - sessions,
            session_connections=sessions,
        )


class ThrottleGroup(BaseModel):
    """Counters of limits."""

    redis_url: Annotated[
        RedisDsn | None,
        Field(repr=False, description="Redis, for the counters of limits; without it each worker counts its share."),
    ] = None
    workers: Annotated[
        int, Field(ge=1, description="Worker processes on all hosts; without Redis, a limit is divided by this.")
    ] = 1
    takes_over: Annotated[
        bool,
        Field(description="Replacement worker: without Redis, assume that the predecessor's share is spent."),
    ] = False
    management_requests: Annotated[
        int,
        Field(ge=1, description="Management requests a minute of all keys of a tenant; as many of all its people."),
    ] = 1200
    principal_management_requests: Annotated[
        int, Field(ge=1, description="Management requests a minute of one key or person, within the tenant's.")
    ] = 120
    scim_requests: Annotated[
        int, Field(ge=1, description="SCIM requests a minute of one key; a tenant's keys together have twice as many.")
    ] = 1500

    @model_validator(mode="after")
    def _one_principal_leaves_room(self) -> Self:
        if self.principal_management_requests > self.management_requests:
            raise ValueError("TENANTRY_PRINCIPAL_MANAGEMENT_REQUESTS is larger than TENANTRY_MANAGEMENT_REQUESTS")
        return self

    @property
    def throttle(self) -> ThrottleSettings:
        """What ``gateway/throttle`` needs."""
        return ThrottleSettings(
            redis_url=str(self.redis_url) if self.redis_url else None,
            workers=self.workers,
            takes_over=self.takes_over,
            management_quota=self.management_requests,
            principal_quota=self.principal_management_requests,
            scim_quota=self.scim_requests,
        )


class AuditGroup(BaseModel):
    """The audit logs of the tenants."""

    audit_checkpoints: Annotated[
        Path | None,
        Field(
            description="Folder outside the database for signed checkpoints of the audit logs, which `tenantry audit "
            "verify` reads; without it they are lines of the worker's log."
        ),
    ] = None


class UsageGroup(BaseModel):
    """Journals of usage."""

    usage_folder: Annotated[
        Path,
        Field(description="Folder for usage journals, of this deployment alone; must survive a worker's restart."),
    ] = Path(".tenantry/usage")
    usage_journal_megabytes: Annotated[
        int,
        Field(ge=4, le=65_536, description="Maximum size of a worker's journal while PostgreSQL is down; then 503."),
    ] = 256
    usage_flush_seconds: Annotated[
        float, Field(ge=0.1, le=60, description="Seconds between two flushes of a worker's journal to PostgreSQL.")
    ] = 10.0

    @property
    def usage(self) -> UsageSettings:
        """What ``gateway/usage`` needs."""
        return UsageSettings(self.usage_folder, self.usage_journal_megabytes * 2**20, self.usage_flush_seconds)
