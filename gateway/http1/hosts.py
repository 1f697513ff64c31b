"""Which values of Host are answered (RFC 9110 section 7.2, PX5)."""

import re
from collections.abc import Callable, Collection
from functools import lru_cache
from ipaddress import IPv6Address

_HOST = re.compile(
    rb"(?P<name>(?:[A-Za-z0-9._~!$&'()*+,;=-]++|%[0-9A-Fa-f]{2})++|\[(?P<v6>[0-9A-Fa-f:.]++)\])(?::(?P<port>[0-9]{1,5}))?+"
)
_MOST_PORT = 65_535
_REMEMBERED = 1_024


def host_check(hosts: Collection[str] = ()) -> Callable[[bytes], bool]:
    """A function that tells whether a value is a host, with a port or without, and one of ``hosts``: none means any."""
    ours = frozenset(host.lower() for host in hosts)

    @lru_cache(maxsize=_REMEMBERED)
    def accepts(value: bytes) -> bool:
        host = _HOST.fullmatch(value)
        if host is None or int(host["port"] or 0) > _MOST_PORT:
            return False
        if host["v6"] is not None and not _is_v6(host["v6"].decode("ascii")):
            return False
        return not ours or host["name"].decode("ascii").lower() in ours

    return accepts


def _is_v6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True
