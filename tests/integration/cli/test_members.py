"""``tenantry members`` against a real PostgreSQL."""

from typing import Any

import psycopg
import pytest

from tests.fixtures.commands import Run, answer
from tests.fixtures.databases import DatabaseUrls

_MAIL = {"TENANTRY_SMTP_HOST": "127.0.0.1", "TENANTRY_MAIL_FROM": "Acme <no-reply@acme.test>"}


@pytest.fixture
def owned(migrated: Run, database_urls: DatabaseUrls) -> Run:
    """The command line of a deployment with the tenant ``acme``, whose owner is ann@acme.test."""
    tenant = answer(migrated("tenants", "create", "acme", "--json"))
    with psycopg.connect(database_urls.owner, autocommit=True) as connection:
        connection.execute("INSERT INTO tenantry.users (id, email) VALUES (gen_random_uuid(), 'ann@acme.test')")
        connection.execute(
            "INSERT INTO tenantry.memberships (tenant_id, user_id, roles)"
            " SELECT tenants.id, users.id, '{owner}' FROM tenantry.tenants, tenantry.users"
        )
    assert tenant["slug"] == "acme"
    return migrated


def _invitations(urls: DatabaseUrls) -> list[tuple[Any, ...]]:
    with psycopg.connect(urls.owner) as connection:
        return connection.execute(
            "SELECT email, role, inviter_kind, sends, accepted_at FROM tenantry.invitations ORDER BY id"
        ).fetchall()


def test_members_are_listed_given_roles_and_removed(owned: Run) -> None:
    """AZ6: by address or id; the last owner stays, also for the operators of the deployment."""
    (owner,) = answer(owned("members", "list", "acme", "--json"))["data"]
    assert (owner["email"], owner["roles"]) == ("ann@acme.test", ["owner"])
    for named in (owner["id"], "ANN@acme.test"):
        for refused in (
            owned("members", "remove", "acme", named),
            owned("members", "set-roles", "acme", named, "--role", "admin"),
        ):
            assert refused.exit_code == 1
            assert "needs an owner" in refused.output
    kept = owned("members", "set-roles", "acme", owner["id"], "--role", "owner", "--role", "viewer", "--json")
    assert answer(kept)["roles"] == ["owner", "viewer"]
    assert "ann@acme.test" in owned("members", "list", "acme").stdout


def test_people_are_invited_and_invited_again(owned: Run, database_urls: DatabaseUrls) -> None:
    """Without mail the invitation is kept and the command says so; later the same command sends it."""
    silent = owned("members", "invite", "acme", "bob@acme.test", "--role", "viewer")
    assert silent.exit_code == 0
    assert "Mail is off" in silent.stderr
    assert "tn_link_" not in silent.output
    assert _invitations(database_urls) == [("bob@acme.test", "viewer", "cli", 0, None)]
    sent = answer(owned("members", "invite", "acme", "BOB@acme.test", "--role", "viewer", "--json", **_MAIL))
    assert sent["sent_at"] is not None
    assert _invitations(database_urls) == [("bob@acme.test", "viewer", "cli", 1, None)]
    assert "pending invitation" in owned("members", "invite", "acme", "bob@acme.test", "--role", "admin").output
    assert "already a member" in owned("members", "invite", "acme", "ann@acme.test", "--role", "admin").output


def test_the_owner_of_a_new_tenant_is_invited(migrated: Run, database_urls: DatabaseUrls) -> None:
    """Not made a member without a password; the object that is printed keeps its shape."""
    created = migrated("tenants", "create", "acme", "--owner-email", "ann@acme.test", "--json")
    assert "owner" not in answer(created)
    assert "Mail is off" in created.stderr
    assert _invitations(database_urls) == [("ann@acme.test", "owner", "cli", 0, None)]
    assert answer(migrated("members", "list", "acme", "--json")) == {"data": []}
    created = migrated("tenants", "create", "globex", "--owner", "bob@globex.test", **_MAIL)
    assert "Mail is off" not in created.output
    assert _invitations(database_urls)[1] == ("bob@globex.test", "owner", "cli", 1, None)


def test_mistakes_are_reported_without_a_traceback(owned: Run) -> None:
    for arguments, message in (
        (("list", "nothing"), "no tenant"),
        (("remove", "acme", "bob@acme.test"), "no member"),
        (("set-roles", "acme", "ann@acme.test", "--role", "nothing"), "no role of this name"),
        (("set-roles", "acme", "ann@acme.test"), "--role"),
        (("invite", "acme", "bob@acme.test", "--role", "nothing"), "no role of this name"),
        (("invite", "acme", "a,b@acme.test", "--role", "viewer"), "one e-mail address"),
        (("invite", "nothing", "bob@acme.test", "--role", "viewer"), "no tenant"),
        (("reset-mfa", "acme", "ann@acme.test"), "no such second factor"),
    ):
        result = owned("members", *arguments)
        assert result.exit_code != 0
        assert message in result.output, result.output
        assert "Traceback" not in result.output
