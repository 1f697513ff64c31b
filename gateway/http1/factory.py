"""Creates the protocol of each connection in a worker process."""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.http1.protocol import Http1Protocol
from gateway.http1.shared_state import SharedState
from gateway.http1.timeouts import Limits
from gateway.request.client import WATCH_CONNECTIONS
from gateway.settings import Settings


class Http1ProtocolFactory:
    """Creates the protocol of each connection: the value of ``uvicorn.Config(http=...)``, in place of a class.

    It is pickled into worker processes with only the settings; the shared state is created with the first connection.
    """

    def __init__(self, settings: Settings, limits: Limits | None = None) -> None:
        self._settings = settings
        self._limits = limits or Limits()
        self._shared: SharedState | None = None

    def __call__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> Http1Protocol:
        """Called by uvicorn in the event loop that serves, like a protocol class."""
        if self._shared is None:
            self._shared = SharedState(self._settings, self._limits, asyncio.get_running_loop())
            watch = app_state.get(WATCH_CONNECTIONS)
            if watch is not None:
                watch(server_state.connections)
        return Http1Protocol(self._shared, config, server_state, app_state, _loop)
