"""What the workers of one server are given: the settings, and what all of them must agree on."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self, cast

from starlette.types import ASGIApp

from gateway.http1.protocol import Http1ProtocolFactory
from gateway.metrics.measure import Kind
from gateway.metrics.slot import bury_the_dead
from gateway.settings import Settings

Create = Callable[[Settings], ASGIApp]


class Applications:
    """Makes the application of one worker after another."""

    def __init__(self, load: Callable[[], Settings], create: Create, workers: int, folder: Path | None) -> None:
        """``load`` reads the settings, ``create`` makes an application of them; ``folder`` is for metrics, where they
        name none. Raises what ``load`` raises.
        """
        self.settings = load()
        self._load = load
        self._create = create
        # Without Redis each gives its share of a limit: never let one believe that there are fewer than there are.
        self._workers = max(self.settings.workers, workers)
        self._folder = self.settings.metrics_folder or folder
        if self._folder is not None and self._folder.is_dir():
            bury_the_dead(self._folder, *Kind)  # what an earlier server has counted is not this one's

    @classmethod
    @contextmanager
    def open(cls, load: Callable[[], Settings], create: Create, workers: int) -> Iterator[Self]:
        """Those of one server. Several workers have a folder for their metrics together; a single one makes its own."""
        if workers == 1:
            yield cls(load, create, workers, None)
            return
        with TemporaryDirectory(prefix="tenantry-metrics-") as folder:
            yield cls(load, create, workers, Path(folder))

    def factory(self, *, takes_over: bool = False) -> Callable[[], ASGIApp]:
        """For the next worker; ``takes_over`` says that another one stood in its place."""
        told: dict[str, object] = {"workers": self._workers, "metrics_folder": self._folder}
        if takes_over:
            told["takes_over"] = True
        return partial(self._create, self.settings.model_copy(update=told))

    def protocols(self) -> type[asyncio.Protocol]:
        """What reads the connections of the next worker: a maker of protocols, called as a class would be."""
        return cast("type[asyncio.Protocol]", Http1ProtocolFactory(self.settings))

    def renew(self) -> None:
        """Read the settings anew, for workers to come. Raises ValueError and OSError, and keeps those it had."""
        self.settings = self._load()
