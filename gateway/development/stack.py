"""Everything that `tenantry dev` runs, started side by side, watched, and stopped in order."""

import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from gateway.development.data_folder import DataFolder
from gateway.development.handover import Handover
from gateway.development.mail.server import MailSink
from gateway.development.ports import PartMissing, Server, StopOrder
from gateway.development.postgres import LocalPostgres
from gateway.development.processes import LOOPBACK, Child, Launch, wait_until
from gateway.development.redis import LocalRedis
from gateway.development.stripe.server import StandInOptions, StripeStandIn

_READY_WITHIN = 180.0  # seconds; a database with many tenants may have to be migrated first
_RETRY_WEBHOOKS = 1.0  # seconds until the stand-in first sends a webhook again
_PROBE_TIMEOUT = 2.0  # seconds
_LOOK_EVERY = 0.03  # seconds; each look is a request
_READY = 200
_FAREWELL = StopOrder(((signal.SIGTERM, 20.0),))  # longer than the gateway gives to requests in flight


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asked for. URLs name servers that run already; None lets us start our own."""

    port: int
    workers: int
    database_url: str | None = None
    owner_database_url: str | None = None
    redis_url: str | None = None


@dataclass(slots=True)
class Stack:
    """The parts of one demo. ``say`` tells a person what happens."""

    folder: DataFolder
    wish: Wish
    say: Callable[[str], None]
    _servers: dict[str, Server] = field(default_factory=dict)
    _children: dict[str, Child] = field(default_factory=dict)
    _started: float = field(default_factory=time.monotonic)

    def start(self) -> None:
        """Return when the gateway is ready to serve. Raises PartMissing or PartFailed; ``stop`` is then still due."""
        self.folder.begin()
        # What has most to import goes first: it imports while the servers start, and waits to hear where they are.
        gateway = self._launch("gateway", "gateway.development.children.gateway")
        gateway.tell(self._start_servers().encode())
        self._tell("parts started")
        wait_until(lambda: _is_ready(self.wish.port), gateway, _READY_WITHIN, "The gateway", _LOOK_EVERY)
        self._launch("worker", "gateway.development.children.worker", str(self.folder.environment))
        self.folder.prepared.replace(self.folder.demo)
        self._tell("ready to serve")

    def failed(self) -> str | None:
        """What has ended by itself, with the end of its log; None while all of it runs."""
        for name, child in self._children.items():
            if not child.running:
                return f"The {name} ended with exit code {child.exit_code}:\n{child.log_tail()}"
        for name, server in self._servers.items():
            if not server.running:
                return f"{name} ended by itself; see its log under {self.folder.root}."
        return None

    def stop(self) -> None:
        """End what serves, then what it stands on. Nothing of ours runs afterwards."""
        self.folder.demo.unlink(missing_ok=True)
        running = [child for child in self._children.values() if child.running]
        for child in running:
            child.ask_to_stop()
        for child in running:
            child.stop(_FAREWELL)
        for server in reversed(self._servers.values()):
            server.stop()

    def _start_servers(self) -> Handover:
        stripe_key = self.folder.stripe_key()
        stripe = StripeStandIn(self.folder.stripe, StandInOptions(stripe_key, retry_first=_RETRY_WEBHOOKS))
        self._begin("The Stripe stand-in", stripe)
        mail = self._mail()
        redis_url = self._redis()
        database_url = self._postgres()
        for server in self._servers.values():
            server.start()
        return Handover(
            data=str(self.folder.root),
            port=self.wish.port,
            workers=self.wish.workers,
            postgres_url=database_url(),
            owner_url=self.wish.owner_database_url if self.wish.database_url else None,
            redis_url=redis_url(),
            stripe_url=stripe.url,
            stripe_api_key=stripe_key,
            smtp_port=mail.port if mail else None,
            mail_url=mail.url if mail else None,
        )

    def _mail(self) -> MailSink | None:
        sink = MailSink(self.folder.mail)
        try:
            self._begin("The mail sink", sink)
        except PartMissing as missing:
            self._tell(f"NO MAIL: mail is off. {missing}")
            return None
        return sink

    def _redis(self) -> Callable[[], str | None]:
        given = self.wish.redis_url
        if given is not None:
            self._tell("Redis: the one that TENANTRY_REDIS_URL names")
            return lambda: given
        server = LocalRedis(self.folder.redis)
        try:
            self._begin("Redis", server)
        except PartMissing as missing:
            self._tell(f"NO REDIS: limits are counted in each process, which gets its share of them. {missing}")
            return lambda: None
        return lambda: server.url

    def _postgres(self) -> Callable[[], str]:
        given = self.wish.database_url
        if given is not None:
            self._tell("PostgreSQL: the one that TENANTRY_DATABASE_URL names")
            return lambda: given
        server = LocalPostgres(self.folder.postgres)
        if not server.folder.is_relative_to(self.folder.root):
            self._tell(f"PostgreSQL keeps its files in {server.folder}: it does not run as root, and cannot reach ours")
        self._begin("PostgreSQL", server)
        return lambda: server.superuser_url

    def _begin(self, name: str, server: Server) -> None:
        server.begin()
        self._servers[name] = server

    def _launch(self, name: str, module: str, *arguments: str) -> Child:
        child = Child(
            Launch(
                command=[sys.executable, "-m", module, *arguments],
                folder=Path.cwd(),  # where relative paths in the user's settings begin
                log=self.folder.logs / f"{name}.log",
                environment=None,  # the user's own settings count where the demo decides nothing
                stdin=None,
            )
        )
        self._children[name] = child
        return child

    def _tell(self, what: str) -> None:
        self.say(f"{time.monotonic() - self._started:5.1f} s  {what}")


def _is_ready(port: int) -> bool:
    connection = HTTPConnection(LOOPBACK, port, timeout=_PROBE_TIMEOUT)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == _READY
    except (OSError, HTTPException):
        return False  # not listening yet
    finally:
        connection.close()
