"""The interface of the servers that development and the tests start, and the errors of starting them."""

import signal
from dataclasses import dataclass
from typing import Protocol


class DevelopmentError(Exception):
    """`tenantry dev` cannot go on. The message says why, and what to do where that is known."""


class ProgramMissing(DevelopmentError):
    """The machine has no program for this server. The message lists the places searched and what to install."""


class ServerFailed(DevelopmentError):
    """A server did not start, or exited. The message ends with the last lines of its log."""


class SetUpFailed(DevelopmentError):
    """Project, options or data folder do not allow the demo to be set up."""


class Server(Protocol):
    """A server on loopback with a folder of its own. A restart in the same folder keeps its data and port."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int:
        """The TCP port; the same one after a restart. Raises ServerFailed before the first start."""

    @property
    def running(self) -> bool:
        """False before the start, and after the process has exited for any reason."""

    def begin(self) -> None:
        """Launch the process without waiting for it, so that several servers can start in parallel."""

    def start(self) -> None:
        """Launch it if needed and return when it accepts connections. Raises ProgramMissing or ServerFailed."""

    def stop(self) -> None:
        """Shut it down cleanly; with stronger signals after a timeout. Does nothing when it is not running."""

    def kill(self) -> None:
        """Kill it with SIGKILL, as a crash would, and return when the process has ended."""

    def pause(self) -> None:
        """Stop all its processes with SIGSTOP: connections stay open and nothing is answered."""

    def resume(self) -> None:
        """Undo ``pause``."""


class PostgresServer(Server, Protocol):
    """A local PostgreSQL."""

    @property
    def superuser_url(self) -> str:
        """``postgresql://`` URL of the superuser on database ``postgres``: for set-up only, never for the gateway."""


class RedisServer(Server, Protocol):
    """A local Redis-compatible server."""

    @property
    def url(self) -> str:
        """``redis://`` URL with its password."""


@dataclass(frozen=True, slots=True)
class StopSequence:
    """The signals that stop a program, in order, each with the seconds to wait before the next."""

    steps: tuple[tuple[signal.Signals, float], ...]


TERMINATE = StopSequence(((signal.SIGTERM, 10.0),))
