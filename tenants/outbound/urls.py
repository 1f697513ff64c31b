"""URLs that others give, read strictly: nothing that two parsers could read differently."""

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from tenants.values.errors import BadValue

LONGEST_URL = 2_000  # characters
_TEXT = re.compile(r"[\x21-\x7e]+")
_AMBIGUOUS = re.compile(r'[\\"<>^`{|}]')  # RFC 3986 allows none of them unencoded


def read_url(text: str) -> SplitResult:
    """The parts of an http or https URL without credentials and fragment. Raises BadValue."""
    if len(text) > LONGEST_URL or not _TEXT.fullmatch(text) or _AMBIGUOUS.search(text):
        raise BadValue("bad_url", f"Must be a URL of at most {LONGEST_URL} ASCII characters.")
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError as error:
        raise BadValue("bad_url", "Must be a URL.") from error
    if not url.hostname or "@" in url.netloc or "#" in text:
        raise BadValue("bad_url", "Must have a host name, and neither credentials nor a fragment.")
    if url.scheme not in {"https", "http"}:
        raise BadValue("bad_url", "Must be an https URL.")
    return url


def read_secure_url(text: str, *, allow_loopback_http: bool = False) -> SplitResult:
    """As ``read_url``, https only. ``allow_loopback_http`` also allows http to this machine, for development."""
    url = read_url(text)
    if url.scheme == "http" and not (allow_loopback_http and is_loopback(url.hostname or "")):
        raise BadValue("bad_url", "Must be an https URL.")
    return url


def origin_of_url(url: SplitResult) -> str:
    """Scheme, host and port as browsers write them (RFC 6454 section 6.1)."""
    port = {"https": 443, "http": 80}.get(url.scheme)
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    return f"{url.scheme}://{host}" + ("" if url.port in {None, port} else f":{url.port}")


def is_loopback(host: str) -> bool:
    """Whether the host name or address means this machine by itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
