"""``Http1ProtocolFactory``: what the application learns of the server."""

import pytest
from uvicorn.server import ServerState

from gateway.http1.factory import Http1ProtocolFactory
from gateway.process.configuration import uvicorn_config
from gateway.request.client import WATCH_CONNECTIONS
from tests.asgi import respond_ok
from tests.fixtures.http1 import http1_settings

pytestmark = pytest.mark.anyio


async def test_the_application_is_given_the_connections_once() -> None:
    """ID5: the set that the server keeps current, so that open streams are found in it."""
    given: list[object] = []
    factory, state = Http1ProtocolFactory(http1_settings()), ServerState()
    config = uvicorn_config(respond_ok, factory, lifespan="off")  # type: ignore[arg-type]
    for _ in range(2):
        factory(config, state, {WATCH_CONNECTIONS: given.append})
    assert len(given) == 1
    assert given[0] is state.connections
