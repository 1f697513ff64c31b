"""``tenantry members`` against a real PostgreSQL."""

from typing import Any

import psycopg
import pytest
from psycopg import sql

from tenants.identifiers import USER, read
from tests.fixtures.commands import Run, answer
from tests.fixtures.databases import DatabaseUrls

# Ann and Bob, who is not reset, have one of everything.
_FACTORS = """
    INSERT INTO tenantry.users (id, email) VALUES (gen_random_uuid(), 'bob@acme.test');
    INSERT INTO tenantry.memberships (tenant_id, user_id, roles)
        SELECT tenants.id, users.id, '{viewer}' FROM tenantry.tenants, tenantry.users WHERE email = 'bob@acme.test';
    INSERT INTO tenantry.totp_factors (id, user_id, secret_sealed, confirmed_at)
        SELECT gen_random_uuid(), id, '', now() FROM tenantry.users;
    INSERT INTO tenantry.passkeys (id, user_id, credential_id, public_key, sign_count, synced, transports, name)
        SELECT gen_random_uuid(), id, sha256(email::bytea), '', 0, false, '{}', 'Laptop' FROM tenantry.users;
    INSERT INTO tenantry.recovery_codes (id, user_id, digest)
        SELECT gen_random_uuid(), id, sha256(email::bytea) FROM tenantry.users;
    INSERT INTO tenantry.mfa_challenges (id, purpose, digest, user_id, expires_at)
        SELECT gen_random_uuid(), 'sign_in', sha256(email::bytea), id, now() + interval '5 minutes' FROM tenantry.users;
    INSERT INTO tenantry.sign_ins (id, user_id, tenant_id, methods)
        SELECT gen_random_uuid(), user_id, tenant_id, '{pwd,otp}' FROM tenantry.memberships
"""
_LEFT = """
    SELECT email, (SELECT count(*) FROM tenantry.totp_factors WHERE user_id = users.id),
        (SELECT count(*) FROM tenantry.passkeys WHERE user_id = users.id),
        (SELECT count(*) FROM tenantry.recovery_codes WHERE user_id = users.id),
        (SELECT count(*) FROM tenantry.mfa_challenges WHERE user_id = users.id),
        (SELECT count(*) FROM tenantry.sign_ins WHERE user_id = users.id AND ended_at IS NULL)
    FROM tenantry.users ORDER BY email
"""
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


def test_the_second_factors_of_a_member_are_reset(owned: Run, database_urls: DatabaseUrls) -> None:
    """ID13, AU1: app, passkeys, codes, sign-ins that wait and sessions end; audited and mailed; others' stay."""
    with psycopg.connect(database_urls.owner, autocommit=True) as connection:
        connection.execute(_FACTORS)
    reset = answer(owned("members", "reset-mfa", "acme", "ANN@acme.test", "--json", **_MAIL))
    assert (reset["email"], reset["mfa_reset"]) == ("ann@acme.test", True)
    with psycopg.connect(database_urls.owner) as connection:
        left = connection.execute(_LEFT).fetchall()
        schema = connection.execute("SELECT tenantry.tenant_schema(id) FROM tenantry.tenants").fetchone()
        assert schema is not None
        events = sql.SQL("SELECT actor_kind, object_id FROM {} WHERE type = 'members.mfa_reset'")
        audited = connection.execute(events.format(sql.Identifier(schema[0], "tenantry_events"))).fetchall()
        jobs = connection.execute("SELECT task_name FROM tenantry.procrastinate_jobs").fetchall()
    assert left == [("ann@acme.test", 0, 0, 0, 0, 0), ("bob@acme.test", 1, 1, 1, 1, 1)]
    assert audited == [("cli", read(USER, reset["id"]))]
    assert ("mail.send",) in jobs
    again = owned("members", "reset-mfa", "acme", reset["id"])
    assert (again.exit_code, "no such second factor" in again.output) == (1, True)


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
