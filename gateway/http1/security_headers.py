"""Headers that every answer carries unless it sets its own. Sources: OWASP Secure Headers, CSP Level 3, RFC 6797."""

# An API's answer is data: should a browser render it after all, nothing in it may load, run or be framed.
_API_POLICY = b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_TWO_YEARS = 63_072_000

Header = tuple[bytes, bytes]


def security_headers(*, https: bool) -> tuple[Header, ...]:
    """Those of one deployment; HSTS only where callers come by https (RFC 6797 section 7.2)."""
    return (
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", _API_POLICY),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-store"),  # X-API-Key does not stop a shared cache, as Authorization would
        *([(b"strict-transport-security", b"max-age=%d" % _TWO_YEARS)] if https else []),
    )
