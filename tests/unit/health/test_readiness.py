"""Readiness where nothing can be reached."""

import asyncio
import time

import pytest

from billing.plans.book import PlanBook
from gateway.health.readiness import NotReady, Readiness
from migrations.readiness import ControlRevision
from tenants.database.engine import open_engine
from tenants.database.listener import ChangeListener
from tenants.database.sessions import Database
from tenants.settings import DatabaseSettings

pytestmark = pytest.mark.anyio

_NOWHERE = DatabaseSettings(url="postgresql://nobody:hunter2@127.0.0.1:1/none")


async def test_without_a_database_what_is_missing_is_named_and_nothing_of_the_inside() -> None:
    """OP3, SE2: words of ours, no address and no error of a library."""
    database, listener = Database(open_engine(_NOWHERE), _NOWHERE), ChangeListener(_NOWHERE)
    readiness = Readiness(database, listener, PlanBook(database, listener), ControlRevision())
    began = time.monotonic()
    refusals = await asyncio.gather(*(readiness.check() for _ in range(50)), return_exceptions=True)
    assert time.monotonic() - began < 5  # one look for all of them, and it has a deadline
    assert {type(each) for each in refusals} == {NotReady}
    assert {str(each.message) for each in refusals if isinstance(each, NotReady)} == {
        "Not ready to serve: database, plans, change listener."
    }
    await database.close()
