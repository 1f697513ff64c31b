"""Writes many tenants, keys and users directly into the control tables, with real key digests.

The tenants have no schemas: credential look-ups do not need them.
"""

import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import LiteralString
from uuid import UUID

import psycopg

from benchmarks.deployment import DATABASE, PLAN, Deployment, settings_of
from gateway.services import build_services
from tenants.database.names import CONTROL_ROLE
from tenants.identifiers import TenantId, UserId, new_id
from tenants.secrets.hashing import SecretHasher
from tenants.secrets.tokens import SecretKind, checksum, last4_of, prefix_of
from tenants.sign_in.access_tokens import AccessTokens

_ENTER = "SELECT set_config('role', %s, true), set_config('search_path', 'tenantry', true)"
_TENANTS = "COPY tenants (id, slug, name, plan_code) FROM STDIN"
_USER: LiteralString = "INSERT INTO users (id, email) VALUES (%(user)s, %(email)s)"
_MEMBERSHIP: LiteralString = (
    "INSERT INTO memberships (tenant_id, user_id, roles) VALUES (%(tenant)s, %(user)s, '{member}')"
)
# As the superuser, without triggers: a million notifications in one transaction would overflow the server's queue.
_DISABLE_TRIGGERS = "SET session_replication_role = replica"
_MANY_KEYS: LiteralString = (
    "INSERT INTO tenantry.api_keys (id, tenant_id, name, role, prefix, last4, digest, pepper_version)"
    " SELECT lpad(to_hex(n), 32, '0')::uuid, %(tenant)s, 'benchmark', 'member', 'tn_live_aaaa', 'aaaa', digest, 1"
    " FROM (SELECT n, sha256(n::text::bytea) AS digest FROM generate_series(1, %(count)s) n ORDER BY digest) AS made"
)
_KEYS = "COPY api_keys (id, tenant_id, name, role, prefix, last4, digest, pepper_version) FROM STDIN"


@dataclass(slots=True)
class ControlTables:
    """The control tables, accessed with the control role."""

    connection: psycopg.Connection
    hasher: SecretHasher = field(repr=False)

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Cursor]:
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.execute(_ENTER, (CONTROL_ROLE,))
            yield cursor

    def execute(self, statement: LiteralString, **values: object) -> None:
        """Run a statement in its own transaction."""
        with self._transaction() as cursor:
            cursor.execute(statement, values)

    def add_tenants(self, count: int, plan: str) -> list[UUID]:
        """Create tenants on a plan."""
        tenants = [new_id() for _ in range(count)]
        with self._transaction() as cursor, cursor.copy(_TENANTS) as copy:
            for tenant in tenants:
                copy.write_row((tenant, f"t{tenant.hex}", "Benchmark", plan))
        return tenants

    def add_keys(self, tenants: Iterable[UUID], count: int) -> list[str]:
        """Create keys for these tenants in turn, and return their secrets."""
        secrets_ = new_secrets(count)
        self.add(dict(zip(secrets_, cycle(tenants), strict=False)))
        return secrets_

    def add(self, keys: Mapping[str, UUID]) -> None:
        """Create keys from their secrets and tenants."""
        with self._transaction() as cursor, cursor.copy(_KEYS) as copy:
            for secret, tenant in keys.items():
                copy.write_row(self._key_row(secret, tenant))

    def add_member(self, tenant: UUID) -> UUID:
        """Create a user with a membership."""
        user = new_id()
        self.execute(_USER, user=user, email=f"{user.hex}@example.com")
        self.execute(_MEMBERSHIP, tenant=tenant, user=user)
        return user

    def _key_row(self, secret: str, tenant: UUID) -> tuple[object, ...]:
        digest = self.hasher.digest(secret)
        visible = prefix_of(secret, SecretKind.LIVE), last4_of(secret)
        return new_id(), tenant, "benchmark", "member", *visible, digest.value, digest.pepper_version


def new_secrets(count: int) -> list[str]:
    """Well-formed secrets, made faster than real ones: their random part is hexadecimal."""
    bodies = (SecretKind.LIVE + secrets.token_hex(18) for _ in range(count))
    return [body + checksum(body) for body in bodies]


@contextmanager
def open_control(deployment: Deployment) -> Iterator[ControlTables]:
    """Connect to the database with the gateway's login role."""
    hasher = SecretHasher(settings_of(deployment.environment).peppers)
    with psycopg.connect(deployment.environment["TENANTRY_DATABASE_URL"], autocommit=True) as connection:
        yield ControlTables(connection, hasher)


@contextmanager
def open_tokens(deployment: Deployment) -> Iterator[AccessTokens]:
    """The issuer of access tokens that the deployment's gateways accept."""
    services = build_services(settings_of(deployment.environment))
    try:
        yield services.features.tokens
    finally:
        services.features.passwords.close()


def new_access_token(deployment: Deployment) -> str:
    """An access token of a new user in a new tenant."""
    with open_control(deployment) as control, open_tokens(deployment) as tokens:
        (tenant,) = control.add_tenants(1, PLAN)
        return tokens.issue(UserId(control.add_member(tenant)), TenantId(tenant), UUID(int=0))


def add_many_keys(deployment: Deployment, tenant: UUID, count: int) -> None:
    """Insert keys without known secrets."""
    with psycopg.connect(deployment.superuser_url, dbname=DATABASE) as superuser:
        superuser.execute(_DISABLE_TRIGGERS)
        superuser.execute(_MANY_KEYS, {"tenant": tenant, "count": count})
