"""Mail domains: how their names are read, the TXT record that proves one, and the look-up of it."""

import re
import secrets
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

import dns.asyncresolver
import dns.exception
import dns.rdatatype
import dns.resolver
from dns.nameserver import Do53Nameserver

from tenants.values.errors import BadValue

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LONGEST = 253  # characters (RFC 1035 section 2.3.4)
_RECORD_LABEL = "_tenantry"
_RECORD_PREFIX = "tenantry-domain-verification="
_RECORD_BYTES = 20  # random
_DEADLINE = 4.0  # seconds for one look-up, retries included
_MOST_RECORDS = 100
_DNS_PORT = 53
_LEAST_LABELS = 2  # a name and its top-level domain


class DnsFailed(Exception):
    """There is no answer: neither that the record exists nor that it does not."""


class TxtRecords(Protocol):
    """Looks TXT records up. Has a deadline."""

    async def find(self, name: str) -> Sequence[str]:
        """The texts under this name; none when the name has none. Raises DnsFailed."""


class DnsTxtRecords:
    """Asks these name servers, or those of the system. Raises ValueError for a server that is not an address."""

    def __init__(self, servers: Sequence[str] = ()) -> None:
        self._servers = [Do53Nameserver(*read_server(each)) for each in servers]
        self._resolver: dns.asyncresolver.Resolver | None = None

    async def find(self, name: str) -> Sequence[str]:
        """The texts under this name; none when the name has none. Raises DnsFailed."""
        try:
            answer = await self._opened().resolve(name, dns.rdatatype.TXT, lifetime=_DEADLINE, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return ()
        except (dns.exception.DNSException, OSError) as error:
            raise DnsFailed(type(error).__name__) from error
        return [b"".join(each.strings).decode("latin-1") for each in list(answer)[:_MOST_RECORDS]]

    def _opened(self) -> dns.asyncresolver.Resolver:
        """Made at the first look-up: a host without a resolver can do everything else."""
        if self._resolver is None:
            self._resolver = dns.asyncresolver.Resolver(configure=not self._servers)
            if self._servers:
                self._resolver.nameservers = [*self._servers]
        return self._resolver


def read_server(text: str) -> tuple[str, int]:
    """Address and port of ``192.0.2.1``, ``192.0.2.1:5353`` or ``[2001:db8::1]:53``. Raises ValueError."""
    try:
        return str(ip_address(text)), _DNS_PORT
    except ValueError:
        parts = urlsplit(f"//{text}")
        return str(ip_address(parts.hostname or "")), parts.port or _DNS_PORT


def read_domain(text: str) -> str:
    """The domain in lower case, an international one in its ASCII form. Raises BadValue."""
    try:
        domain = text.strip().rstrip(".").lower().encode("idna").decode("ascii")
    except UnicodeError as error:
        raise BadValue("bad_domain", "Must be a domain name, such as example.com.") from error
    labels = domain.split(".")
    is_name = all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()
    if not is_name or len(domain) > _LONGEST or len(labels) < _LEAST_LABELS:
        raise BadValue("bad_domain", "Must be a domain name, such as example.com.")
    return domain


def domain_of(email: str) -> str | None:
    """The domain of an e-mail address; None for one that no tenant can prove."""
    try:
        return read_domain(email.rpartition("@")[2])
    except BadValue:
        return None


def record_name(domain: str) -> str:
    """The name under which the TXT record is looked up."""
    return f"{_RECORD_LABEL}.{domain}"


def new_record() -> str:
    """A new value for the TXT record, which cannot be guessed."""
    return _RECORD_PREFIX + secrets.token_hex(_RECORD_BYTES)
