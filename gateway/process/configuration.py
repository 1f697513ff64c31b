"""uvicorn as everything of ours is served by it."""

import asyncio
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from gateway.process.draining import DRAIN

_KEEP_ALIVE = 75  # seconds that an idle connection may stay: longer than the proxies before us keep theirs
_SILENCE = 30  # seconds until a worker counts as hung; one that still imports is silent too, long under load


def uvicorn_config(
    app: ASGIApp | Callable[[], ASGIApp], protocols: type[asyncio.Protocol], **more: Any
) -> uvicorn.Config:
    """The application, its connections read by ``protocols``. ``more`` is as uvicorn.Config takes it, and wins."""
    given: dict[str, Any] = {
        "loop": "uvloop",
        "http": protocols,
        "ws": "none",  # none is served: a request to upgrade is answered as any other
        "log_config": None,  # ours is set up by the application
        "access_log": False,  # one structured line of ours instead
        "server_header": False,
        "proxy_headers": False,  # the edge believes proxies that the settings name, and no others
        "timeout_graceful_shutdown": DRAIN,
        "timeout_keep_alive": _KEEP_ALIVE,
        "timeout_worker_healthcheck": _SILENCE,
    }
    return uvicorn.Config(app, **(given | more))
