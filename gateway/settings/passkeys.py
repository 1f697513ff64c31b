"""Settings of passkeys: the domain that they belong to, and the pages that may use them."""

import re
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field
from pydantic_settings import NoDecode

from gateway.settings.values import by_commas

_LOCAL = "localhost"  # the one domain that browsers allow without TLS
_DEFAULT_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


def _separated(value: object) -> object:
    return by_commas(value) if isinstance(value, str) else value


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL, as a browser writes them (RFC 6454 section 6.2)."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + ("" if port in {None, _DEFAULT_PORTS[parts.scheme]} else f":{port}")


def _origins(value: list[str]) -> list[str]:
    message = "must be origins separated by commas, such as https://app.example.com, without a path"
    try:
        parts, origins = [urlsplit(each) for each in value], [origin_of(each) for each in value]
    except (ValueError, KeyError):  # a bad port; another scheme
        raise ValueError(message) from None
    if any(not each.hostname or each.path not in {"", "/"} or each.query or each.fragment for each in parts):
        raise ValueError(message)
    return origins


def _domain(value: str | None) -> str | None:
    if value is not None and not _NAME.fullmatch(value.lower()):
        raise ValueError("must be a domain name, without scheme or port")
    return None if value is None else value.lower()


class PasskeyGroup(BaseModel):
    """Passkeys."""

    passkey_domain: Annotated[
        str | None,
        AfterValidator(_domain),
        Field(
            description="Domain that passkeys belong to, such as `example.com` for pages on `app.example.com`; by "
            "default the public URL's host. Passkeys of another domain cannot be used.",
        ),
    ] = None
    passkey_origins: Annotated[
        list[str],
        NoDecode,
        BeforeValidator(_separated),
        AfterValidator(_origins),
        Field(description="Origins of pages that may use passkeys beside the public URL's, separated by commas."),
    ] = []


def domain_of(url: str) -> str:
    """The domain that passkeys of a page belong to. An address is none: browsers allow ``localhost`` in its place."""
    host = urlsplit(url).hostname or _LOCAL
    try:
        _ = ip_address(host)
    except ValueError:
        return host
    return _LOCAL


def passkey_origins(url: str, more: list[str]) -> tuple[str, ...]:
    """The origins of the public URL, of the same under ``localhost`` if its host is an address, and of more pages."""
    host, own = urlsplit(url).hostname or "", origin_of(url)
    local = [] if domain_of(url) == host else [own.replace(f"[{host}]" if ":" in host else host, _LOCAL)]
    return tuple(dict.fromkeys([own, *local, *more]))


def check_origins(domain: str, origins: tuple[str, ...]) -> None:
    """Raise ValueError unless browsers let pages of all these origins use passkeys of the domain."""
    for origin in origins:
        host = urlsplit(origin).hostname or ""
        if host != domain and not host.endswith(f".{domain}"):
            raise ValueError("TENANTRY_PASSKEY_ORIGINS must be on TENANTRY_PASSKEY_DOMAIN or below it")
