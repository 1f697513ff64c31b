"""Where a token was found, cleaned: a report is a text of others, and can hold a token itself."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from tenants.values.shown import escaped

LONGEST_URL = 500
_SOURCE = re.compile(r"[a-z][a-z0-9_ -]{0,39}")
_UNKNOWN = "unknown"
_TOKEN = re.compile(r"tn_[a-z]{1,10}_[0-9A-Za-z]{8,}")
_LINE = re.compile(r"L[0-9]{1,9}(-L[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class Place:
    """The kind of place, and its URL if one was given that can be shown."""

    source: str
    url: str | None

    @property
    def shown(self) -> str:
        """For a message."""
        return self.source if self.url is None else f"{self.source}: {self.url}"


def place_of(source: str | None, url: str | None) -> Place:
    """The place as it may be stored, logged and mailed."""
    kind = (source or "").lower()
    return Place(kind if _SOURCE.fullmatch(kind) else _UNKNOWN, _cleaned(url or ""))


def _cleaned(url: str) -> str | None:
    """An http or https URL without login and query, with a line number alone as its fragment; else None."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not host:
        return None
    fragment = parts.fragment if _LINE.fullmatch(parts.fragment) else ""
    place = f"[{host}]" if ":" in host else host
    plain = urlunsplit((parts.scheme, place if port is None else f"{place}:{port}", parts.path, "", fragment))
    return escaped(_TOKEN.sub("tn_…", plain))[:LONGEST_URL]
