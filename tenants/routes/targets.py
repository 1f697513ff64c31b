"""URLs of targets, in one spelling: ``http://host:port``, ``https://host:port``, ``unix:/path``."""

import re
from dataclasses import dataclass
from typing import Literal, cast

from tenants.values.errors import BadValue
from tenants.values.networks import Address, plain_address
from tenants.values.origins import canonical_host

_HTTP = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::([0-9]{1,5}))?", re.ASCII)
_UNIX = re.compile(r"unix:(/[!-~]+)", re.ASCII)
_LONGEST_SOCKET = 107  # bytes of ``sun_path`` on Linux, without the final zero
_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65_535

Scheme = Literal["http", "https", "unix"]


@dataclass(frozen=True, slots=True)
class TargetUrl:
    """Where a target listens: a host (no brackets) and port, or the path of a Unix socket."""

    scheme: Scheme
    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def address(self) -> Address | None:
        """The address, if the host is one and no name."""
        try:
            return plain_address(self.host)
        except ValueError:
            return None


def read_target(text: str) -> TargetUrl:
    """Raises BadValue."""
    if socket := _UNIX.fullmatch(text):
        if len(socket[1]) > _LONGEST_SOCKET:
            raise BadValue("too_long", f"The path of a socket must have at most {_LONGEST_SOCKET} characters.")
        return TargetUrl("unix", path=socket[1])
    match = _HTTP.fullmatch(text)
    if match is None or canonical_host(match[2]) != match[2]:
        message = (
            "Must be http://host:port, https://host:port or unix:/path: in lower case, without user, path and query."
        )
        raise BadValue("bad_url", message)
    port = int(match[3] or _PORTS[match[1]])
    if not 0 < port <= _LAST_PORT:
        raise BadValue("bad_url", f"The port must be a number from 1 to {_LAST_PORT}.")
    return TargetUrl(cast("Scheme", match[1]), match[2].strip("[]"), port)
