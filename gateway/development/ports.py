"""What development and the tests need of the outside parts, whichever program stands behind them."""

import signal
from dataclasses import dataclass
from typing import Protocol


class PartMissing(Exception):
    """The machine has no program for this part. The message says where we looked and what to install."""


class PartFailed(Exception):
    """A part did not start, or ended by itself. The message ends with the last lines of its log."""


class Server(Protocol):
    """A server on loopback, in a folder of its own. Starting it again in the same folder keeps its data and port."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int:
        """The TCP port; the same one after a restart. Raises PartFailed before the first start."""

    @property
    def running(self) -> bool:
        """False before the start, and once the process has ended for whatever reason."""

    def begin(self) -> None:
        """Launch the process without waiting for it, so that several parts can come up at once."""

    def start(self) -> None:
        """Launch it if needed and return when it answers. Raises PartMissing or PartFailed."""

    def stop(self) -> None:
        """End it in its own orderly way; harder when that takes too long. Does nothing when it is not running."""

    def kill(self) -> None:
        """End it as a crash would (kill -9), and return when it is gone."""

    def pause(self) -> None:
        """Stop every process of it with SIGSTOP: it holds its connections open and answers nothing."""

    def resume(self) -> None:
        """Undo ``pause``."""


class PostgresServer(Server, Protocol):
    """A PostgreSQL of our own."""

    @property
    def superuser_url(self) -> str:
        """``postgresql://`` URL of the superuser on database ``postgres``: for set-up only, never for the gateway."""


class RedisServer(Server, Protocol):
    """A Redis-compatible server of our own."""

    @property
    def url(self) -> str:
        """``redis://`` URL with its password."""


@dataclass(frozen=True, slots=True)
class StopOrder:
    """How a program is asked to end: the signals in turn, each with the seconds it is given before the next."""

    steps: tuple[tuple[signal.Signals, float], ...]


GENTLE = StopOrder(((signal.SIGTERM, 10.0),))
