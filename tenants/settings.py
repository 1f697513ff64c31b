"""Settings of the tenants layer: frozen. Only the gateway reads them from the environment."""

from dataclasses import dataclass, field
from email.utils import parseaddr
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """How to reach PostgreSQL, pool sizes and timeouts."""

    url: str  # the login role of the gateway's workers
    statement_connections: int = 6  # for tenants' groups of statements
    lookup_connections: int = 4  # in the same pool, reserved for credentials and plans; at most three are used at once
    session_connections: int = 4  # for interactive sessions
    connect_timeout: float = 2.0  # seconds
    acquire_timeout: float = 2.0  # seconds a request may wait for a connection
    longest_queue: int = 1000  # requests of one tenant that may wait for one; all more are turned away at once
    transaction_timeout: float = 5.0  # seconds from asking for a connection to the commit (OP3)
    statement_timeout: float = 4.0  # seconds, enforced by the server (DA7)


@dataclass(frozen=True, slots=True)
class Pepper:
    """A version of the secret under which credentials are hashed (ID2)."""

    version: int
    secret: bytes  # at least 32 bytes


class SmtpTls(StrEnum):
    STARTTLS = "starttls"  # RFC 3207, required: never without
    IMPLICIT = "implicit"  # RFC 8314 section 3
    NONE = "none"


@dataclass(frozen=True, slots=True)
class MailSettings:
    """How to reach the mail server, and whom mail comes from."""

    host: str
    sender: str  # an address, with a display name or without: Acme <no-reply@acme.example>
    port: int = 587
    tls: SmtpTls = SmtpTls.STARTTLS
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    deadline: float = 10.0  # seconds for one message

    @property
    def address(self) -> str:
        """The sender's address, without the display name."""
        return parseaddr(self.sender)[1]

    @property
    def product(self) -> str:
        """The SaaS as people know it: the sender's display name, or else the domain of its address."""
        return parseaddr(self.sender)[0] or self.address.rpartition("@")[2]
