"""Headers that every answer carries unless it sets its own. Sources: OWASP Secure Headers, CSP Level 3, RFC 6797."""

from collections.abc import Iterable

# An API's answer is data: should a browser render it after all, nothing in it may load, run or be framed.
_API_POLICY = b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_TWO_YEARS = 63_072_000

Header = tuple[bytes, bytes]


class SecurityHeaders:
    """The defaults of one deployment; HSTS only where callers come by https (RFC 6797 section 7.2)."""

    def __init__(self, *, https: bool) -> None:
        self._defaults: tuple[Header, ...] = (
            (b"x-content-type-options", b"nosniff"),
            (b"content-security-policy", _API_POLICY),
            (b"referrer-policy", b"no-referrer"),
            (b"cache-control", b"no-store"),  # X-API-Key does not stop a shared cache, as Authorization would
            *([(b"strict-transport-security", b"max-age=%d" % _TWO_YEARS)] if https else []),
        )
        self._overridable = frozenset(name for name, _ in self._defaults)

    def beside(self, own: Iterable[Header], added: Iterable[Header]) -> list[Header]:
        """The answer's own headers, what the gate adds, and each default that the answer does not set itself."""
        for name, _ in own:
            if name in self._overridable:
                names = {name for name, _ in own}
                return [*own, *added, *(header for header in self._defaults if header[0] not in names)]
        return [*own, *added, *self._defaults]
