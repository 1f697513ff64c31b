"""A job worker that is killed while it gives notices."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from gateway.development.processes import free_port
from tests.fixtures.deployment import environment_of
from tests.fixtures.gateways import Gateway, GatewayFactory
from tests.fixtures.mail import SENDER
from tests.fixtures.people import execute
from tests.fixtures.tenants import make_tenant

pytestmark = pytest.mark.anyio

_TENANTS, _KEYS = 16, 3
_NOTICES = """
import asyncio, sys
from datetime import datetime
from gateway.features import build_features
from gateway.settings import Settings
asyncio.run(build_features(Settings()).notices.run(datetime.fromisoformat(sys.argv[1])))
"""
_ADD_MEMBER = """
    INSERT INTO tenantry.memberships (tenant_id, user_id, roles)
        SELECT %s, id, '{owner}' FROM tenantry.users WHERE email = 'owner@acme.example'
"""
_ADD_KEYS = """
    INSERT INTO tenantry.api_keys
        (id, tenant_id, name, role, prefix, last4, digest, pepper_version, created_at, expires_at)
        SELECT gen_random_uuid(), %s, 'import', 'member', 'tn_live_abcd', 'wxyz', sha256((%s || n)::bytea), 1,
            now() - interval '30 days', now() + interval '5 days'
        FROM generate_series(1, %s) n
"""
_MARKS = "SELECT count(*) FROM tenantry.api_key_notices"
_MESSAGES = "SELECT count(*) FROM tenantry.procrastinate_jobs WHERE task_name = 'mail.send'"


async def _fill(gateway: Gateway) -> list[str]:
    """Tenants whose keys expire soon; their schemas."""
    schemas = []
    for number in range(_TENANTS):
        tenant = await make_tenant(gateway.services.database, f"tenant-{number}")
        execute(gateway, _ADD_MEMBER, tenant.id)
        execute(gateway, _ADD_KEYS, tenant.id, tenant.id.hex, _KEYS)
        schemas.append(tenant.schema)
    return schemas


def _kill_midway(gateway: Gateway, now: datetime) -> int:
    """Give notices in another process, and kill it after some; how many keys are marked."""
    environment = environment_of(gateway.services.settings) | {"PATH": os.defpath, "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-c", _NOTICES, now.isoformat()]
    process = subprocess.Popen(command, env=environment)  # noqa: S603 - our own command
    with psycopg.connect(gateway.urls.owner, autocommit=True) as connection:
        until = time.monotonic() + 60
        while _count(connection, _MARKS) < _KEYS * 2:
            assert process.poll() is None, "it has failed, or finished too early"
            assert time.monotonic() < until, "it gives no notices"
        process.kill()
        process.wait()
    return _count_of(gateway, _MARKS)


def _count(connection: psycopg.Connection, query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def _count_of(gateway: Gateway, query: str) -> int:
    return int(execute(gateway, query)[0][0])


def _events(gateway: Gateway, schemas: list[str]) -> list[int]:
    query = sql.SQL("SELECT id FROM {} WHERE type = 'api_keys.expiry_noticed'")
    with psycopg.connect(gateway.urls.superuser) as superuser:
        return [
            len(superuser.execute(query.format(sql.Identifier(each, "tenantry_events"))).fetchall()) for each in schemas
        ]


async def test_kill_9_neither_repeats_nor_loses_a_notice(gateways: GatewayFactory) -> None:
    """SI5: mark, event and message of each key are there together or not at all; the next run gives the rest."""
    mail = {"smtp_host": "127.0.0.1", "smtp_port": free_port(), "smtp_tls": "none", "mail_from": SENDER}
    async with gateways(**mail) as gateway:
        now, schemas = datetime.now(UTC) + timedelta(minutes=1), await _fill(gateway)
        marked = _kill_midway(gateway, now)
        assert 0 < marked < _TENANTS * _KEYS, "it was killed too late"
        assert _count_of(gateway, _MESSAGES) * _KEYS == sum(_events(gateway, schemas)) == marked
        assert await gateway.services.features.notices.run(now) == _TENANTS * _KEYS - marked
        assert _count_of(gateway, _MESSAGES) == _TENANTS
        assert _events(gateway, schemas) == [_KEYS] * _TENANTS
