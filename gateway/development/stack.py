"""The processes of one `tenantry dev`: started in parallel, watched, and stopped in order."""

import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from gateway.development.data_folder import DataFolder
from gateway.development.mail.server import MailSink
from gateway.development.options import DevOptions, PrepareInput
from gateway.development.postgres import LocalPostgres
from gateway.development.processes import LOOPBACK, Child, Launch, wait_until
from gateway.development.redis import LocalRedis
from gateway.development.servers import ProgramMissing, Server, StopSequence
from gateway.development.stripe.server import StandInOptions, StripeStandIn
from gateway.development.upstream.server import DemoUpstream

_READY_WITHIN = 180.0  # seconds; a database with many tenants may have to be migrated first
_RETRY_WEBHOOKS = 1.0  # seconds before the stand-in first retries a webhook
_PROBE_TIMEOUT = 2.0  # seconds
_POLL_SECONDS = 0.03  # each poll is a request
_READY = 200
# Without it Python puts the project's folder before the installed packages (tenants/resources/project.py).
_SAFE_PATH = ("-P",)
_STOP = StopSequence(((signal.SIGTERM, 20.0),))  # longer than the gateway waits for requests in flight


@dataclass(slots=True)
class Stack:
    """``say`` prints a line of progress."""

    folder: DataFolder
    options: DevOptions
    say: Callable[[str], None]
    _servers: dict[str, Server] = field(default_factory=dict)
    _children: dict[str, Child] = field(default_factory=dict)
    _started: float = field(default_factory=time.monotonic)

    def start(self) -> None:
        """Return when the gateway is ready to serve.

        Raises ProgramMissing or ServerFailed; the caller must call ``stop`` then, too.
        """
        self.folder.begin()
        # Launched first: it imports while the servers start, then reads their addresses from stdin.
        gateway = self._launch("gateway", "gateway.development.children.gateway")
        gateway.send_input(self._start_servers().encode())
        self._progress("servers started")
        wait_until(lambda: _is_ready(self.options.port), gateway, _READY_WITHIN, "The gateway", _POLL_SECONDS)
        self._launch("worker", "gateway.development.children.worker", str(self.folder.environment))
        self.folder.prepared.replace(self.folder.demo)
        self._progress("ready to serve")

    def failed(self) -> str | None:
        """The process that has exited, with the end of its log; None while all of them run."""
        for name, child in self._children.items():
            if not child.running:
                return f"The {name} exited with code {child.exit_code}:\n{child.log_tail()}"
        for name, server in self._servers.items():
            if not server.running:
                return f"{name} exited; see its log in {self.folder.root}."
        return None

    def stop(self) -> None:
        """Stop gateway and worker, then the servers. No process that was started here runs afterwards."""
        self.folder.demo.unlink(missing_ok=True)
        running = [child for child in self._children.values() if child.running]
        for child in running:
            child.ask_to_stop()
        for child in running:
            child.stop(_STOP)
        for server in reversed(self._servers.values()):
            server.stop()

    def _start_servers(self) -> PrepareInput:
        stripe_key = self.folder.stripe_key()
        stripe = StripeStandIn(self.folder.stripe, StandInOptions(stripe_key, retry_first=_RETRY_WEBHOOKS))
        self._begin("The Stripe stand-in", stripe)
        upstream = DemoUpstream(self.folder.upstream)
        self._begin("The demo service", upstream)
        mail = self._mail()
        redis_url = self._redis()
        database_url = self._postgres()
        for server in self._servers.values():
            server.start()
        return PrepareInput(
            data=str(self.folder.root),
            port=self.options.port,
            workers=self.options.workers,
            resources=self.options.resources,
            postgres_url=database_url(),
            owner_url=self.options.owner_database_url if self.options.database_url else None,
            redis_url=redis_url(),
            stripe_url=stripe.url,
            stripe_api_key=stripe_key,
            smtp_port=mail.port if mail else None,
            mail_url=mail.url if mail else None,
            upstream_url=upstream.url,
        )

    def _mail(self) -> MailSink | None:
        sink = MailSink(self.folder.mail)
        try:
            self._begin("The mail sink", sink)
        except ProgramMissing as missing:
            self._progress(f"NO MAIL: no mail is sent. {missing}")
            return None
        return sink

    def _redis(self) -> Callable[[], str | None]:
        given = self.options.redis_url
        if given is not None:
            self._progress("Redis: the server in TENANTRY_REDIS_URL")
            return lambda: given
        server = LocalRedis(self.folder.redis)
        try:
            self._begin("Redis", server)
        except ProgramMissing as missing:
            self._progress(f"NO REDIS: each process counts its share of the limits. {missing}")
            return lambda: None
        return lambda: server.url

    def _postgres(self) -> Callable[[], str]:
        given = self.options.database_url
        if given is not None:
            self._progress("PostgreSQL: the server in TENANTRY_DATABASE_URL")
            return lambda: given
        server = LocalPostgres(self.folder.postgres)
        if not server.folder.is_relative_to(self.folder.root):
            self._progress(f"PostgreSQL keeps its files in {server.folder}: an unprivileged user must reach them")
        self._begin("PostgreSQL", server)
        return lambda: server.superuser_url

    def _begin(self, name: str, server: Server) -> None:
        server.begin()
        self._servers[name] = server

    def _launch(self, name: str, module: str, *arguments: str) -> Child:
        log = self.folder.logs / f"{name}.log"
        log.unlink(missing_ok=True)  # an error shows the end of the log, which must not be an earlier run's
        child = Child(
            Launch(
                command=[sys.executable, *_SAFE_PATH, "-m", module, *arguments],
                folder=Path.cwd(),  # the project, which relative paths in settings start from
                log=log,
                environment=None,  # settings that the demo does not decide come from the environment
                stdin=None,
            )
        )
        self._children[name] = child
        return child

    def _progress(self, what: str) -> None:
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
