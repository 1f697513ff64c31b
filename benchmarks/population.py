"""Many tenants, keys and people at once, written straight into the control tables: real ones, with real hashes.

The tenants have no schemas, which no credential is looked up in.
"""

import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import LiteralString
from uuid import UUID

import psycopg

from benchmarks.stand import DATABASE, PLAN, Stand, settings_of
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
# As the superuser, without triggers: a million notices in one transaction are more than the server's queue holds.
_QUIETLY = "SET session_replication_role = replica"
_MANY_KEYS: LiteralString = (
    "INSERT INTO tenantry.api_keys (id, tenant_id, name, role, prefix, last4, digest, pepper_version)"
    " SELECT lpad(to_hex(n), 32, '0')::uuid, %(tenant)s, 'benchmark', 'member', 'tn_live_aaaa', 'aaaa', digest, 1"
    " FROM (SELECT n, sha256(n::text::bytea) AS digest FROM generate_series(1, %(count)s) n ORDER BY digest) AS made"
)
_KEYS = "COPY api_keys (id, tenant_id, name, role, prefix, last4, digest, pepper_version) FROM STDIN"


@dataclass(slots=True)
class Control:
    """The control tables, as the control role."""

    connection: psycopg.Connection
    hasher: SecretHasher = field(repr=False)

    @contextmanager
    def _entered(self) -> Iterator[psycopg.Cursor]:
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.execute(_ENTER, (CONTROL_ROLE,))
            yield cursor

    def execute(self, statement: LiteralString, **values: object) -> None:
        """Run it in a transaction of its own: committed when this returns."""
        with self._entered() as cursor:
            cursor.execute(statement, values)

    def add_tenants(self, count: int, plan: str) -> list[UUID]:
        """So many tenants on that plan."""
        tenants = [new_id() for _ in range(count)]
        with self._entered() as cursor, cursor.copy(_TENANTS) as copy:
            for tenant in tenants:
                copy.write_row((tenant, f"t{tenant.hex}", "Benchmark", plan))
        return tenants

    def add_keys(self, tenants: Iterable[UUID], count: int) -> list[str]:
        """So many keys of these tenants in turn: their secrets."""
        added = new_secrets(count)
        self.add(dict(zip(added, cycle(tenants), strict=False)))
        return added

    def add(self, keys: Mapping[str, UUID]) -> None:
        """Keys of these secrets, each of the tenant beside it."""
        with self._entered() as cursor, cursor.copy(_KEYS) as copy:
            for secret, tenant in keys.items():
                copy.write_row(self._key_row(secret, tenant))

    def add_member(self, tenant: UUID) -> UUID:
        """A person who is a member there."""
        user = new_id()
        self.execute(_USER, user=user, email=f"{user.hex}@example.com")
        self.execute(_MEMBERSHIP, tenant=tenant, user=user)
        return user

    def _key_row(self, secret: str, tenant: UUID) -> tuple[object, ...]:
        digest = self.hasher.digest(secret)
        shown = prefix_of(secret, SecretKind.LIVE), last4_of(secret)
        return new_id(), tenant, "benchmark", "member", *shown, digest.value, digest.pepper_version


def new_secrets(count: int) -> list[str]:
    """So many well-formed keys that nobody knows; quicker than those that are handed out, of sixteen of the letters."""
    bodies = (SecretKind.LIVE + secrets.token_hex(18) for _ in range(count))
    return [body + checksum(body) for body in bodies]


@contextmanager
def open_control(stand: Stand) -> Iterator[Control]:
    """A connection of the gateway's login role to the stand's database."""
    hasher = SecretHasher(settings_of(stand.environment).peppers)
    with psycopg.connect(stand.environment["TENANTRY_DATABASE_URL"], autocommit=True) as connection:
        yield Control(connection, hasher)


@contextmanager
def open_tokens(stand: Stand) -> Iterator[AccessTokens]:
    """What issues the tokens that the stand's gateways verify."""
    services = build_services(settings_of(stand.environment))
    try:
        yield services.features.tokens
    finally:
        services.features.passwords.close()


def new_person(stand: Stand) -> str:
    """The access token of a person in a tenant of their own."""
    with open_control(stand) as control, open_tokens(stand) as tokens:
        (tenant,) = control.add_tenants(1, PLAN)
        return tokens.issue(UserId(control.add_member(tenant)), TenantId(tenant), UUID(int=0))


def add_many_keys(stand: Stand, tenant: UUID, count: int) -> None:
    """So many rows of keys that nobody has the secrets of."""
    with psycopg.connect(stand.superuser_url, dbname=DATABASE) as superuser:
        superuser.execute(_QUIETLY)
        superuser.execute(_MANY_KEYS, {"tenant": tenant, "count": count})
