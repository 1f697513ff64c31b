"""Revision 0014: the end of a sign-in moves to a row of its own, while the release before it serves beside this one."""

from typing import Any
from uuid import UUID

import psycopg
import pytest
from alembic.script import ScriptDirectory

from migrations.runner import migrate_control
from tests.fixtures.databases import DatabaseUrls

_TENANT, _USER = UUID("018f0000-0000-7000-8000-00000000000a"), UUID("018f0000-0000-7000-8000-00000000000b")
_FIRST, _SECOND = UUID(int=1), UUID(int=2)
_ROWS = """
    INSERT INTO tenantry.plans (code, name, rank, windows, features) VALUES ('free', 'Free', 0, '[]', '{}');
    INSERT INTO tenantry.tenants (id, slug, name, plan_code)
        VALUES ('018f0000-0000-7000-8000-00000000000a', 'acme', 'Acme', 'free');
    INSERT INTO tenantry.users (id, email) VALUES ('018f0000-0000-7000-8000-00000000000b', 'ada@example.com');
"""
# What the release before revision 0014 does at a sign-in or refresh, and at the end of a sign-in.
_OLD_TOKEN = (
    "INSERT INTO tenantry.refresh_tokens (id, family_id, user_id, tenant_id, digest, expires_at)"
    " VALUES (gen_random_uuid(), %s, %s, %s, gen_random_uuid()::text::bytea, now() + interval '30 days')"
)
_OLD_END = (
    "UPDATE tenantry.refresh_tokens SET family_ended_at = now(), successor_sealed = NULL"
    " WHERE family_id = %s AND family_ended_at IS NULL"
)
_NEW_END = "UPDATE tenantry.sign_ins SET ended_at = now() WHERE id = %s"
_SIGN_INS = "SELECT id, methods, ended_at IS NOT NULL FROM tenantry.sign_ins ORDER BY id"
_TOKENS = "SELECT family_id, family_ended_at IS NOT NULL FROM tenantry.refresh_tokens ORDER BY family_id"


def _rows(connection: psycopg.Connection, query: str, *values: object) -> list[Any]:
    cursor = connection.execute(query.encode(), values or None)
    return cursor.fetchall() if cursor.description else []


def test_earlier_sign_ins_are_kept(empty_database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> None:
    """OP4: people stay signed in over the migration, and ended sign-ins stay ended (ID15)."""
    upgrade = ScriptDirectory._upgrade_revs
    with monkeypatch.context() as patched:
        patched.setattr(ScriptDirectory, "_upgrade_revs", lambda self, _to, now: upgrade(self, "0013", now))
        migrate_control(empty_database_urls.owner)
    with psycopg.connect(empty_database_urls.owner, autocommit=True) as owner:
        owner.execute(_ROWS)
        for family in (_FIRST, _FIRST, _SECOND):
            _rows(owner, _OLD_TOKEN, family, _USER, _TENANT)
        _rows(owner, _OLD_END, _SECOND)
        migrate_control(empty_database_urls.owner)
        assert _rows(owner, _SIGN_INS) == [(_FIRST, ["pwd"], False), (_SECOND, ["pwd"], True)]


def test_two_releases_agree_which_sign_ins_have_ended(database_urls: DatabaseUrls) -> None:
    """OP4: what either release begins or ends, the other knows; every worker is notified of the end (ID4)."""
    with (
        psycopg.connect(database_urls.owner, autocommit=True) as owner,
        psycopg.connect(database_urls.gateway, autocommit=True) as listener,
    ):
        owner.execute(_ROWS)
        listener.execute("LISTEN tenantry_changes")
        with psycopg.connect(database_urls.gateway, autocommit=True) as writer:
            writer.execute("SET ROLE tenantry_control")
            for family in (_FIRST, _SECOND):
                _rows(writer, _OLD_TOKEN, family, _USER, _TENANT)
            assert _rows(writer, _SIGN_INS) == [(_FIRST, ["pwd"], False), (_SECOND, ["pwd"], False)]
            _rows(writer, _OLD_END, _FIRST)
            assert _rows(writer, _SIGN_INS) == [(_FIRST, ["pwd"], True), (_SECOND, ["pwd"], False)]
            _rows(writer, _NEW_END, _SECOND)
            assert _rows(writer, _TOKENS) == [(_FIRST, True), (_SECOND, True)]
        listener.execute("SELECT 1")
        assert [each.payload for each in listener.notifies(timeout=0)] == [f"user {_USER}"] * 2
