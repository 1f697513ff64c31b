"""What a caller is told when nothing stored may be used."""

from gateway.proxy.errors import UpstreamTimeout


class NotStored(UpstreamTimeout):
    """504 for ``only-if-cached`` (RFC 9111 section 5.2.1.7)."""

    message = "No stored answer can be used, and the request forbids to ask the upstream service (only-if-cached)."
