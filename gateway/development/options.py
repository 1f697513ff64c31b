"""The options of one `tenantry dev`, and what it passes to the process that prepares the demo and serves it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DevOptions:
    """From the command line. A URL names a server that is running already; None starts one."""

    port: int
    workers: int
    resources: str  # the module that declares what is served
    database_url: str | None = None
    owner_database_url: str | None = None
    redis_url: str | None = None


@dataclass(frozen=True, slots=True)
class PrepareInput:
    """Sent over stdin, because it contains secrets and every local user can read a command line."""

    data: str  # the data folder
    port: int  # of the gateway
    workers: int
    resources: str
    postgres_url: str  # of a superuser; of the gateway's own login when ``owner_url`` is set
    owner_url: str | None  # of the role that owns the schemas, on a server that is set up already
    redis_url: str | None
    stripe_url: str
    stripe_api_key: str
    smtp_port: int | None  # of the mail sink; None when its program is missing
    mail_url: str | None  # of the sink's page of messages
    upstream_url: str  # of the service behind the demo's proxied routes

    def encode(self) -> bytes:
        """The form that ``decode`` reads."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, raw: bytes) -> "PrepareInput":
        """Raises ValueError or TypeError for anything that ``encode`` did not write."""
        return cls(**json.loads(raw))

    @property
    def base_url(self) -> str:
        """The address of the gateway."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def folder(self) -> Path:
        return Path(self.data)
