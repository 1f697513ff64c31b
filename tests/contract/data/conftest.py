"""Gateways that the tests of a module share, since they do not change each other's data."""

from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest

from tests.fixtures.databases import copy_database
from tests.fixtures.everything import EVERYTHING, create_tables
from tests.fixtures.gateways import Gateway, Template, running_gateway


@pytest.fixture(scope="module")
async def shared_gateway(gateway_template: Template) -> AsyncIterator[Gateway]:
    """A gateway with a database of the module's own. Limits are counted in the process."""
    with ExitStack() as stack:
        urls = copy_database(gateway_template.urls, stack)
        async with running_gateway(gateway_template, urls) as opened:
            yield opened


@pytest.fixture(scope="module")
async def things(gateway_template: Template) -> AsyncIterator[Gateway]:
    """The same, serving a resource with a column of every kind."""
    with ExitStack() as stack:
        urls = copy_database(gateway_template.urls, stack)
        create_tables(urls.owner, [gateway_template.acme.ref, gateway_template.globex.ref])
        async with running_gateway(gateway_template, urls, resources=EVERYTHING) as opened:
            yield opened
