"""Every change of cached rows is notified on one channel, whatever makes it (ID4)."""

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
    INSERT INTO tenantry.roles (id, tenant_id, name, permissions)
        SELECT id, id, 'support', '{}' FROM tenantry.tenants WHERE slug = 'acme';
    INSERT INTO tenantry.operator_keys (id, name, prefix, last4, digest, pepper_version)
        VALUES ('018f0000-0000-7000-8000-00000000000a', 'ops', 'tn_op_', 'abcd', '\\xbeef', 1);
"""
_NEW_ROLE = """
    INSERT INTO tenantry.roles (id, tenant_id, name, permissions)
        SELECT id, id, 'support', '{}' FROM tenantry.tenants WHERE slug = 'globex'
"""
_NEW_KEY = """
    INSERT INTO tenantry.api_keys (id, tenant_id, name, role, prefix, last4, digest, pepper_version)
        SELECT id, id, 'cd', 'admin', 'tn_live_', 'abcd', '\\x7f', 1 FROM tenantry.tenants WHERE slug = 'globex'
"""
_NEW_ROUTES = """
    INSERT INTO tenantry.route_versions (number, configuration, changes, actor_kind) VALUES (2, '{}', '{}', 'cli')
"""


class Changes:
    """Makes changes on one connection as the control role, and listens on another."""

    def __init__(self, writer: psycopg.Connection, listener: psycopg.Connection) -> None:
        self._writer = writer
        self._listener = listener
        listener.execute("LISTEN tenantry_changes")

    def notifications_of(self, statement: str, *, commit: bool = True) -> list[str]:
        """Run the statement in its own transaction; returns the notified payloads, in order."""
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
    ("statement", "payloads"),
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
        ("UPDATE tenantry.roles SET permissions = '{usage:read}'", [f"tenant {_A}"]),
        ("DELETE FROM tenantry.roles", [f"tenant {_A}"]),
        (_NEW_ROLE, [f"tenant {_B}"]),
        ("UPDATE tenantry.plans SET monthly_quota = 5", ["plan free"]),
        (
            "INSERT INTO tenantry.plans (code, name, rank, windows, features) VALUES ('x', 'X', 1, '[]', '{}')",
            ["plan x"],
        ),
        (_NEW_ROUTES, ["routes 2"]),
    ],
)
def test_a_change_is_notified_with_the_id_that_caches_use(
    changes: Changes, statement: str, payloads: list[str]
) -> None:
    """ID4: a new key is notified too, so that a cached refusal does not outlive its creation."""
    assert changes.notifications_of(statement) == payloads


def test_the_triggers_cover_every_kind_that_the_listener_knows(database_urls: DatabaseUrls) -> None:
    """ID4: a cached kind without a trigger would never be invalidated."""
    query = (
        "SELECT DISTINCT split_part(encode(tgargs, 'escape'), '\\000', 1) FROM pg_trigger WHERE tgname LIKE 'announce%'"
    )
    with psycopg.connect(database_urls.owner) as owner:
        notified = {kind for (kind,) in owner.execute(query)}
    assert notified == {kind.value for kind in ChangeKind} - {ChangeKind.RESET, ChangeKind.CACHE}


def test_cascading_deletes_are_notified_too(changes: Changes) -> None:
    """ID4: keys and memberships deleted by the cascade of a tenant."""
    assert sorted(changes.notifications_of("DELETE FROM tenantry.tenants WHERE slug = 'acme'")) == [
        "api_key 00ff",
        f"tenant {_A}",
        f"user {_A}",
    ]


def test_an_update_without_a_difference_is_not_notified(changes: Changes) -> None:
    assert changes.notifications_of("UPDATE tenantry.plans SET name = name") == []


def test_a_rolled_back_change_is_not_notified(changes: Changes) -> None:
    assert changes.notifications_of("UPDATE tenantry.plans SET rank = 9", commit=False) == []
