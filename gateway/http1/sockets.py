"""The listening socket and the limits on file descriptors and connections (PX8)."""

import resource
import socket

_BACKLOG = 2_048
_SEND_TIMEOUT = 60.0  # seconds in which a client must acknowledge some of its response
_MAX_UNSENT = 131_072  # bytes that the kernel takes beyond what it has sent: the rest waits where it is counted
_MAX_CONNECTIONS = 10_000  # per worker
_RESERVED_DESCRIPTORS = 256  # for databases, journals, upstreams
_MAX_DESCRIPTORS = 65_536


def listen(host: str, port: int, *, send_timeout: float = _SEND_TIMEOUT) -> socket.socket:
    """Open a listening socket that workers can share. Raises OSError if the address is not available.

    Accepted connections inherit TCP_USER_TIMEOUT (tcp(7)) where the kernel has it: the kernel closes a connection whose
    client acknowledges no data for ``send_timeout`` seconds. With TCP_NOTSENT_LOWAT the kernel does not take megabytes
    of a response that the client does not read (LD2, LD3).
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    listener.set_inheritable(True)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(send_timeout * 1000))
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _MAX_UNSENT)
    return listener


def raise_descriptor_limit() -> None:
    """Raise the soft limit on open files, often 1,024 by default, for this process and its children."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _MAX_DESCRIPTORS:
        raised = _MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_MAX_DESCRIPTORS, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))


def max_connections() -> int:
    """The number of connections that leaves enough file descriptors for everything else.

    When descriptors run out, uvloop resets all new connections, and no file or socket can be opened.
    """
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return _MAX_CONNECTIONS
    return min(_MAX_CONNECTIONS, max(descriptors - _RESERVED_DESCRIPTORS, descriptors // 2))
