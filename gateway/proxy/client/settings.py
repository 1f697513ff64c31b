"""Where a target is, and how its connections are made and bounded."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tenants.routes.schemas import TlsSpec, UpstreamSpec

_PORTS = {"http": 80, "https": 443}
_SWEEP = 0.25  # seconds


@dataclass(frozen=True, slots=True)
class TargetAddress:
    """``http://host:port``, ``https://host:port`` or ``unix:/path``."""

    host: str  # a name or an address without brackets; "localhost" for a Unix socket
    port: int = 0
    tls: bool = False
    unix_path: str | None = None

    @classmethod
    def parse(cls, url: str) -> "TargetAddress":
        """Of a target's URL, which is validated with the configuration. Raises ValueError."""
        if url.startswith("unix:"):
            return cls("localhost", unix_path=url.removeprefix("unix:"))
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError(url)
        return cls(parts.hostname, parts.port or _PORTS[parts.scheme], parts.scheme == "https")

    @property
    def authority(self) -> str:
        """The value of Host: the port is left out where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port in {0, _PORTS["https" if self.tls else "http"]} else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """Of all connections of a worker to one target. Times are in seconds; each is noticed up to two sweeps late."""

    connections: int = 256
    idle_seconds: float = 30.0
    connect: float = 2.0  # name, TCP and TLS; also how long a request waits for one of ``connections``
    send: float = 30.0
    first_byte: float = 30.0
    idle: float = 60.0
    tls: TlsSpec = field(default_factory=TlsSpec)
    public_only: bool = False  # every address has to pass the private-address filter (PX1)
    sweep: float = _SWEEP

    @classmethod
    def of(cls, spec: UpstreamSpec, *, public_only: bool) -> "ConnectionSettings":
        """Those of an upstream. ``public_only`` for targets ``by_tenant``, and where ``private`` is off."""
        times = spec.timeouts
        return cls(
            spec.connections,
            spec.idle_seconds,
            times.connect,
            times.send,
            times.first_byte,
            times.idle,
            spec.tls,
            public_only,
        )
