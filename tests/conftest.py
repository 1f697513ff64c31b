"""Shared by all tests: real parts, one asynchronous backend. The fixtures themselves are in tests/fixtures/."""

import pytest

pytest_plugins = [
    "tests.fixtures.servers",
    "tests.fixtures.databases",
    "tests.fixtures.stripe",
    "tests.fixtures.gateways",
    "tests.fixtures.commands",
    "tests.fixtures.demo",
    "tests.fixtures.billing",
    "tests.fixtures.deployment",
]


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """As in production. Of session scope, so that fixtures of any scope may be asynchronous."""
    return "asyncio", {"use_uvloop": True}
