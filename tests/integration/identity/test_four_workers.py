"""A change is in force on every worker of a deployment, while all of them answer others."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from gateway.development.redis import LocalRedis
from gateway.settings import Settings
from tenants.identifiers import TenantId, UserId
from tenants.sign_in.access_tokens import AccessTokens
from tenants.sign_in.signing_keys import SigningKeys
from tests.fixtures.databases import DatabaseUrls, copy_database
from tests.fixtures.gateways import Template, settings_for
from tests.fixtures.workers import Caller, launch_worker, wait_ready

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]
_WORKERS = 4
_AT_MOST = 1.0  # seconds (ID4)
_PEOPLE = (
    "SELECT users.id, tenants.id FROM tenantry.users, tenantry.tenants"
    " WHERE email = 'member@acme.example' AND slug = 'acme'"
)
_LISTENERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND query LIKE 'LISTEN%%'"


@dataclass(frozen=True, slots=True)
class Change:
    """To and fro: what is written, and what is then answered to the key or to the token."""

    statements: tuple[str, str]
    shown: tuple[Callable[[httpx.Response], bool], Callable[[httpx.Response], bool]]
    by_token: bool = False


def _status(status: int) -> Callable[[httpx.Response], bool]:
    return lambda answer: answer.status_code == status


def _says(status: int, *path: Any, value: object) -> Callable[[httpx.Response], bool]:
    def says(answer: httpx.Response) -> bool:
        found: Any = answer.json() if answer.status_code == status else {}
        for step in path:
            found = found[step] if found else None
        return bool(found == value)

    return says


_CHANGES = {
    "a key is revoked": Change(
        (
            "UPDATE tenantry.api_keys SET revoked_at = now() WHERE name = 'the member key'",
            "UPDATE tenantry.api_keys SET revoked_at = NULL WHERE name = 'the member key'",
        ),
        (_status(401), _status(200)),
    ),
}
