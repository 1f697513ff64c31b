"""Many tenants, keys and people at once, written straight into the control tables: real ones, with real hashes.

The tenants have no schemas, which no credential is looked up in.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import LiteralString
from uuid import UUID

import psycopg

from benchmarks.stand import Stand, settings_of
from tenants.api_keys.secret import SecretHasher, SecretKind, generate, last4_of, prefix_of
from tenants.database.names import CONTROL_ROLE
from tenants.identifiers import new_id

_ENTER = "SELECT set_config('role', %s, true), set_config('search_path', 'tenantry', true)"
_TENANTS = "COPY tenants (id, slug, name, plan_code) FROM STDIN"
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
        secrets = new_secrets(count)
        self.add(dict(zip(secrets, cycle(tenants), strict=False)))
        return secrets

    def add(self, keys: Mapping[str, UUID]) -> None:
        """Keys of these secrets, each of the tenant beside it."""
        with self._entered() as cursor, cursor.copy(_KEYS) as copy:
            for secret, tenant in keys.items():
                copy.write_row(self._key_row(secret, tenant))

    def _key_row(self, secret: str, tenant: UUID) -> tuple[object, ...]:
        digest = self.hasher.digest(secret)
        shown = prefix_of(secret, SecretKind.LIVE), last4_of(secret)
        return new_id(), tenant, "benchmark", "member", *shown, digest.value, digest.pepper_version


def new_secrets(count: int) -> list[str]:
    """So many well-formed keys that nobody knows."""
    return [generate(SecretKind.LIVE) for _ in range(count)]


@contextmanager
def open_control(stand: Stand) -> Iterator[Control]:
    """A connection of the gateway's login role to the stand's database."""
    hasher = SecretHasher(settings_of(stand.environment).peppers)
    with psycopg.connect(stand.environment["TENANTRY_DATABASE_URL"], autocommit=True) as connection:
        yield Control(connection, hasher)
