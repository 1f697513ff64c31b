"""What the connections of one process have in common: bounds, patience, and how they are refused."""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from gateway.http1.hosts import host_check
from gateway.http1.idle_timeouts import Patience
from gateway.http1.refusal import Refusals
from gateway.http1.response_head import HeadWriter
from gateway.http1.security_headers import security_headers
from gateway.http1.sockets import most_connections
from gateway.logs.setup import access_logger
from gateway.problems.documents import Problems
from gateway.settings import Mode, Settings


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a client may keep us waiting in each phase, in seconds, and for how many bytes. A sweep comes later."""

    sweep: float = 1.0
    first_byte: float = 10.0  # of a new connection
    head: float = 9.0  # from its first byte to its last: ten with a sweep
    body_window: float = 10.0  # of a body, in each of which ...
    least_in_window: int = 5_000  # ... so many bytes must come
    drain: float = 5.0  # a client that was refused may go on sending, so that it comes to read why
    most_drained: int = 1_048_576
    most_connections: int = field(default_factory=most_connections)


class Client(Protocol):
    """A connection, as far as its patience goes."""

    def on_silence(self) -> None:
        """Nothing, or too little, came in time."""

    def make_room(self) -> None:
        """End at once."""


class Shared:
    """Made once for a process, in its loop."""

    def __init__(self, settings: Settings, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self.limits = limits
        self.body_limit = settings.body_limit
        self.accepts = host_check(settings.hosts)
        self.heads = HeadWriter(security_headers(https=settings.public_url.startswith("https:")))
        self.refusals = Refusals(
            Problems(settings.public_url),
            access_logger(level=settings.log_level, readable=settings.mode is Mode.DEVELOPMENT),
        )
        self.silence: Patience[Client] = Patience(loop, lambda client: client.on_silence(), limits.sweep)

    def make_room(self, connections: int) -> None:
        """Where there are too many, end the one whose client has said nothing for the longest."""
        if connections > self.limits.most_connections and (oldest := self.silence.oldest()) is not None:
            self.silence.forget(oldest)
            oldest.make_room()
