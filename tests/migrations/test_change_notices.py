"""Every change that a worker may have cached is told on one channel, whoever makes it (ID4)."""

from collections.abc import Iterator

import psycopg
import pytest

from tenants.database.listener import ChangeKind
from tests.fixtures.databases import DatabaseUrls

_A = "018f0000-0000-7000-8000-00000000000a"
_B = "018f0000-0000-7000-8000-00000000000b"
# Two tenants, one person, one membership, a key of each kind.
_ROWS = """
    INSERT INTO tenantry.plans (code, name, rank, windows, features) VALUES ('free', 'Free', 0, '[]', '{}');
    INSERT INTO tenantry.tenants (id, slug, name, plan_code) VALUES
        ('018f0000-0000-7000-8000-00000000000a', 'acme', 'Acme', 'free'),
        ('018f0000-0000-7000-8000-00000000000b', 'globex', 'Globex', 'free');
    INSERT INTO tenantry.users (id, email) VALUES ('018f0000-0000-7000-8000-00000000000a', 'ada@example.com');
    INSERT INTO tenantry.memberships (tenant_id, user_id, roles)
        SELECT tenants.id, users.id, '{owner}' FROM tenantry.tenants, tenantry.users WHERE slug = 'acme';
    INSERT INTO tenantry.api_keys (id, tenant_id, name, role, prefix, last4, digest, pepper_version)
        SELECT id, id, 'ci', 'admin', 'tn_live_', 'abcd', '\\x00ff', 1 FROM tenantry.tenants WHERE slug = 'acme';
    INSERT INTO tenantry.operator_keys (id, name, prefix, last4, digest, pepper_version)
        VALUES ('018f0000-0000-7000-8000-00000000000a', 'ops', 'tn_op_', 'abcd', '\\xbeef', 1);
"""
_NEW_KEY = """
    INSERT INTO tenantry.api_keys (id, tenant_id, name, role, prefix, last4, digest, pepper_version)
        SELECT id, id, 'cd', 'admin', 'tn_live_', 'abcd', '\\x7f', 1 FROM tenantry.tenants WHERE slug = 'globex'
"""


class Changes:
    """Makes changes in one connection as the control role, and hears of them in another."""

    def __init__(self, writer: psycopg.Connection, listener: psycopg.Connection) -> None:
        self._writer = writer
        self._listener = listener
        listener.execute("LISTEN tenantry_changes")

    def told_by(self, statement: str, *, commit: bool = True) -> list[str]:
        """Run it in a transaction of its own; the payloads that came of it, in order."""
        with self._writer.transaction(force_rollback=not commit):
            self._writer.execute("SET LOCAL ROLE tenantry_control")
            self._writer.execute(statement.encode())
        self._listener.execute("SELECT 1")  # the server sends what is due before it answers
        return [notice.payload for notice in self._listener.notifies(timeout=0)]


@pytest.fixture
def changes(database_urls: DatabaseUrls) -> Iterator[Changes]:
    with (
        psycopg.connect(database_urls.owner, autocommit=True) as owner,
        psycopg.connect(database_urls.gateway, autocommit=True) as writer,
        psycopg.connect(database_urls.gateway, autocommit=True) as listener,
    ):
        owner.execute(_ROWS)
        yield Changes(writer, listener)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE tenantry.api_keys SET revoked_at = now()", ["api_key 00ff"]),
        ("UPDATE tenantry.api_keys SET role = 'viewer'", ["api_key 00ff"]),
        ("DELETE FROM tenantry.api_keys", ["api_key 00ff"]),
        ("UPDATE tenantry.api_keys SET digest = '\\x0100'", ["api_key 00ff", "api_key 0100"]),
        (_NEW_KEY, ["api_key 7f"]),
        ("UPDATE tenantry.operator_keys SET revoked_at = now()", ["operator_key beef"]),
        ("UPDATE tenantry.users SET disabled_at = now()", [f"user {_A}"]),
        ("UPDATE tenantry.memberships SET roles = '{viewer}'", [f"user {_A}"]),
        ("DELETE FROM tenantry.memberships", [f"user {_A}"]),
        ("UPDATE tenantry.tenants SET status = 'suspended' WHERE slug = 'acme'", [f"tenant {_A}"]),
        ("UPDATE tenantry.tenants SET migration_failed_at = now()", [f"tenant {_A}", f"tenant {_B}"]),
        ("UPDATE tenantry.plans SET monthly_quota = 5", ["plan free"]),
        (
            "INSERT INTO tenantry.plans (code, name, rank, windows, features) VALUES ('x', 'X', 1, '[]', '{}')",
            ["plan x"],
        ),
    ],
)
def test_a_change_is_told_under_the_name_that_caches_know(changes: Changes, statement: str, told: list[str]) -> None:
    """ID4: a new key is told too, so that a remembered refusal does not outlive its creation."""
    assert changes.told_by(statement) == told


def test_the_triggers_tell_of_every_kind_that_the_listener_knows(database_urls: DatabaseUrls) -> None:
    """ID4: a kind that is cached and never told would be believed for ever."""
    query = (
        "SELECT DISTINCT split_part(encode(tgargs, 'escape'), '\\000', 1) FROM pg_trigger WHERE tgname LIKE 'announce%'"
    )
    with psycopg.connect(database_urls.owner) as owner:
        told = {kind for (kind,) in owner.execute(query)}
    assert told == {kind.value for kind in ChangeKind} - {ChangeKind.RESET}


def test_what_falls_with_a_tenant_is_told_too(changes: Changes) -> None:
    """ID4: keys and memberships that a deletion takes along, by the database's own hand."""
    assert sorted(changes.told_by("DELETE FROM tenantry.tenants WHERE slug = 'acme'")) == [
        "api_key 00ff",
        f"tenant {_A}",
        f"user {_A}",
    ]


def test_a_change_that_changes_nothing_is_not_told(changes: Changes) -> None:
    assert changes.told_by("UPDATE tenantry.plans SET name = name") == []


def test_a_change_that_is_rolled_back_is_not_told(changes: Changes) -> None:
    assert changes.told_by("UPDATE tenantry.plans SET rank = 9", commit=False) == []
