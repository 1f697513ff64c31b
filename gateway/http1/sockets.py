"""What the kernel is asked for: a socket to listen on, and how many connections there may be (PX8)."""

import resource
import socket

_BACKLOG = 2_048
_STALL = 60.0  # seconds in which a client must take something of its answer
_MOST_CONNECTIONS = 10_000  # of one worker
_OTHER_DESCRIPTORS = 256  # for databases, journals, upstreams
_MOST_DESCRIPTORS = 65_536


def listen(host: str, port: int, *, stall: float = _STALL) -> socket.socket:
    """A socket that workers can share. Raises OSError when the address cannot be listened on.

    Where the kernel can, it ends a connection whose client has taken nothing for ``stall`` seconds though there is
    something for it: what is set here holds for every connection that is accepted (tcp(7), TCP_USER_TIMEOUT).
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    listener.set_inheritable(True)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(stall * 1000))
    return listener


def raise_descriptor_limit() -> None:
    """Let this process and its children open more files than the 1,024 that many systems give to who does not ask."""
    given, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if given != resource.RLIM_INFINITY and given < _MOST_DESCRIPTORS:
        wanted = _MOST_DESCRIPTORS if most == resource.RLIM_INFINITY else min(_MOST_DESCRIPTORS, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def most_connections() -> int:
    """As many as leave descriptors for everything else.

    Where descriptors run out, uvloop resets new connections, good ones too, and nothing else can be opened either.
    """
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return min(_MOST_CONNECTIONS, max(descriptors - _OTHER_DESCRIPTORS, descriptors // 2))
