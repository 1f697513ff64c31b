"""What `tenantry dev` tells the process that prepares the demo: where the parts are that it has started."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Handover:
    """Read from stdin, since it holds secrets and a command line can be read by every local user."""

    data: str  # the data folder
    port: int  # of the gateway
    workers: int
    postgres_url: str  # a superuser's, or the gateway's own login where the server is not ours to set up
    owner_url: str | None  # with such a login: the role that owns the schemas
    redis_url: str | None
    stripe_url: str
    stripe_api_key: str
    smtp_port: int | None  # of the mail sink; None where its program is missing
    mail_url: str | None  # where the sink shows its messages

    def encode(self) -> bytes:
        """As ``decode`` reads it."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, raw: bytes) -> "Handover":
        """Raises ValueError or TypeError for anything that ``encode`` did not write."""
        return cls(**json.loads(raw))

    @property
    def base_url(self) -> str:
        """Where the gateway will answer."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def folder(self) -> Path:
        return Path(self.data)
