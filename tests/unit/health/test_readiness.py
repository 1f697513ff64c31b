"""Readiness without a database."""

import asyncio
import time

import pytest

from billing.plans.cache import PlanCache
from gateway.health.readiness import NotReady, Readiness
from migrations.ledger import Ledger
from migrations.readiness import ControlRevision
from migrations.servable import Release
from tenants.database.engine import open_engine
from tenants.database.listener import ChangeListener
from tenants.database.sessions import Database
from tenants.settings import DatabaseSettings

pytestmark = pytest.mark.anyio

_UNREACHABLE = DatabaseSettings(url="postgresql://nobody:hunter2@127.0.0.1:1/none")


class _NoRoutes:
    loads = unavailable = 0


async def test_the_missing_parts_are_named_without_internal_details() -> None:
    """OP3, SE2: no address and no error of a library."""
    database, listener = Database(open_engine(_UNREACHABLE), _UNREACHABLE), ChangeListener(_UNREACHABLE)
    plan_cache, ledger = PlanCache(database, listener), Ledger(Release())
    readiness = Readiness(database, listener, plan_cache, ControlRevision(), ledger, routes=_NoRoutes())
    started = time.monotonic()
    errors = await asyncio.gather(*(readiness.check() for _ in range(50)), return_exceptions=True)
    assert time.monotonic() - started < 5  # one check for all of them, with a timeout
    assert {type(each) for each in errors} == {NotReady}
    assert {str(each.message) for each in errors if isinstance(each, NotReady)} == {
        "Not ready to serve: database, plans, routes, change listener."
    }
    await database.close()
