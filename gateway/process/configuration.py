"""The configuration of uvicorn, and the settings and application that each worker process gets."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, cast

import uvicorn
from starlette.types import ASGIApp

from gateway.http1.factory import Http1ProtocolFactory
from gateway.metrics.metric import MetricKind
from gateway.metrics.worker_files import delete_dead_values
from gateway.process.draining import DRAIN_TIMEOUT
from gateway.settings import Settings

_KEEP_ALIVE = 75  # seconds: longer than proxies keep their idle connections to us
_HEALTH_CHECK_TIMEOUT = 30  # seconds: a worker that is still importing does not respond either

CreateApp = Callable[[Settings], ASGIApp]


def uvicorn_config(
    app: ASGIApp | Callable[[], ASGIApp], protocol: type[asyncio.Protocol], **overrides: Any
) -> uvicorn.Config:
    """Uvicorn's configuration for this gateway. ``overrides`` are arguments of ``uvicorn.Config``."""
    values: dict[str, Any] = {
        "loop": "uvloop",
        "http": protocol,
        "ws": "none",  # ours relays WebSockets itself: gateway/proxy/websocket
        "log_config": None,  # the application configures logging
        "access_log": False,  # the gate writes its own
        "server_header": False,
        "proxy_headers": False,  # the gate trusts only the proxies in the settings
        "timeout_graceful_shutdown": DRAIN_TIMEOUT,
        "timeout_keep_alive": _KEEP_ALIVE,
        "timeout_worker_healthcheck": _HEALTH_CHECK_TIMEOUT,
    }
    return uvicorn.Config(app, **(values | overrides))


class WorkerConfiguration:
    """The settings of the next worker process, and what all workers of one server must agree on."""

    def __init__(
        self, load_settings: Callable[[], Settings], create_app: CreateApp, workers: int, metrics_folder: Path | None
    ) -> None:
        """``metrics_folder`` is used if the settings name none. Raises what ``load_settings`` raises."""
        self.settings = load_settings()
        self._load_settings = load_settings
        self._create_app = create_app
        # Without Redis each worker gets its share of a limit: a number that is too small would exceed the limit.
        self._workers = max(self.settings.workers, workers)
        self._metrics_folder = self.settings.metrics_folder or metrics_folder
        if self._metrics_folder is not None and self._metrics_folder.is_dir():
            delete_dead_values(self._metrics_folder, *MetricKind)  # counters of an earlier server

    @classmethod
    @contextmanager
    def open(cls, load_settings: Callable[[], Settings], create_app: CreateApp, workers: int) -> Iterator[Self]:
        """For the life of one server. Several workers share a temporary folder for metrics; one needs none."""
        if workers == 1:
            yield cls(load_settings, create_app, workers, None)
            return
        with TemporaryDirectory(prefix="tenantry-metrics-") as folder:
            yield cls(load_settings, create_app, workers, Path(folder))

    def app_factory(self, *, takes_over: bool = False) -> Callable[[], ASGIApp]:
        """Creates the application in the next worker. ``takes_over`` marks a replacement of an earlier worker."""
        changes: dict[str, object] = {"workers": self._workers, "metrics_folder": self._metrics_folder}
        if takes_over:
            changes["takes_over"] = True
        return partial(self._create_app, self.settings.model_copy(update=changes))

    def protocol_factory(self) -> type[asyncio.Protocol]:
        """Creates the protocol of each connection of the next worker; uvicorn calls it like a class."""
        return cast("type[asyncio.Protocol]", Http1ProtocolFactory(self.settings))

    def reload_settings(self) -> None:
        """Read the settings again, for later workers. Raises ValueError and OSError, and then keeps the old ones."""
        self.settings = self._load_settings()
