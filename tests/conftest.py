"""Shared by all tests: real parts, one asynchronous backend. The fixtures themselves are in tests/fixtures/."""

import pytest
from hypothesis import settings

# A machine that others use as well is slow at times, and that is no failure: how long an example takes is not judged.
settings.register_profile("suite", deadline=None)
settings.register_profile("soak", deadline=None, max_examples=5_000)
settings.load_profile("suite")

pytest_plugins = [
    "tests.fixtures.garbage",
    "tests.fixtures.servers",
    "tests.fixtures.databases",
    "tests.fixtures.stripe",
    "tests.fixtures.gateways",
    "tests.fixtures.commands",
    "tests.fixtures.demo",
    "tests.fixtures.billing",
    "tests.fixtures.deployment",
    "tests.fixtures.http1",
    "tests.fixtures.mail",
    "tests.fixtures.invitations",
    "tests.fixtures.oidc",
    "tests.fixtures.single_sign_on",
    "tests.fixtures.tokens",
]


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """As in production. Of session scope, so that fixtures of any scope may be asynchronous."""
    return "asyncio", {"use_uvloop": True}
