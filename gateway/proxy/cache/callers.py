"""What the cache has to know of a request: parsed once for each connection that sends the same fields again.

A share is what one tenant's callers may have in common; requests without a principal have one of their own. Tenants
never have anything in common. Roles and scopes are part of a principal's share: when they change, so may what the
upstream shows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from starlette.types import Scope

from gateway.proxy.cache.directives import RequestControl
from gateway.proxy.cache.fields import combined, names_in, sent_value
from gateway.proxy.fields import plain_name
from gateway.request.context import RequestContext
from gateway.request.fields import Field, RequestFields
from tenants.principal import Principal

NO_TENANT = ""

# Some upstreams read another target or method from these; they are in no key.
_OVERRIDES = frozenset(
    {
        b"x-http-method-override",
        b"x-http-method",
        b"x-method-override",
        b"x-original-url",
        b"x-rewrite-url",
        b"x-original-host",
        b"x-host",
    }
)
# A request for a part, on a condition that only the upstream can check, or for another protocol.
_PARTIAL = frozenset({b"range", b"if-range", b"if-match", b"if-unmodified-since", b"upgrade"})
# Any other option names a field that the upstream does not get: ``Connection: accept`` would store the answer to a
# request without Accept as that to one with it.
_CONNECTION = frozenset({b"close", b"keep-alive"})
# What the forwarder makes of the fields by which proxies tell the target of a request, where it believes them.
_TARGET = frozenset({b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port"})

ClientFields = Callable[[Scope, RequestFields, str], list[Field]]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, in the three ways in which answers can be shared."""

    principal: Principal | None
    tenant: str
    by_principal: str
    by_roles: str

    def share(self, shared_by: Literal["principal", "roles", "tenant"]) -> str:
        """Requests of a tenant with the same share may get each other's answers."""
        if shared_by == "principal":
            return self.by_principal
        return self.by_roles if shared_by == "roles" else ""


@dataclass(slots=True)
class SentFields:
    """What the fields of a request say to a cache."""

    control: RequestControl
    plain: bool  # it says nothing of it, and has no condition
    bypass: str | None  # why the cache has no part in it
    cookie: bool
    authority: bytes  # scheme, host and port, by which the upstream may write links
    if_none_match: bytes | None
    if_modified_since: bytes | None
    caller: Caller


def read_fields(request: RequestContext, client_fields: ClientFields) -> SentFields:
    """What this request says, from its connection if it is known there."""
    known = request.fields.caching
    if isinstance(known, SentFields):
        if known.caller.principal is not request.principal:
            known.caller = _caller(request.principal)
        return known
    read = request.fields.caching = _read(request, client_fields)
    return read


def _read(request: RequestContext, client_fields: ClientFields) -> SentFields:
    fields = request.fields
    headers: list[Field] = request.scope["headers"]
    said = [value for name, value in headers if name == b"cache-control"]
    control = RequestControl.of(said)
    if_none_match = sent_value(fields, headers, b"if-none-match")
    if_modified_since = fields.by_name.get(b"if-modified-since")
    return SentFields(
        control=control,
        plain=control == RequestControl() and if_none_match is None and if_modified_since is None,
        bypass=_bypass(fields.by_name, headers, control),
        cookie=b"cookie" in fields.by_name,
        authority=_authority(fields.by_name, client_fields(request.scope, fields, request.client)),
        if_none_match=if_none_match,
        if_modified_since=if_modified_since,
        caller=_caller(request.principal),
    )


def _bypass(by_name: dict[bytes, bytes], headers: list[Field], control: RequestControl) -> str | None:
    if b"transfer-encoding" in by_name or by_name.get(b"content-length", b"0") != b"0":
        return "body"
    if not _PARTIAL.isdisjoint(by_name):
        return "partial"
    if not _OVERRIDES.isdisjoint(map(plain_name, by_name)):
        return "override"
    if not names_in(combined(headers, b"connection")) <= _CONNECTION:
        return "connection"
    return "no-store" if control.no_store else None


def _authority(by_name: dict[bytes, bytes], told: list[Field]) -> bytes:
    """Upstreams write links with it, so requests that differ in it have different answers."""
    target = sorted(field for field in told if field[0] in _TARGET)
    return b"\n".join([by_name.get(b"host", b"").lower(), *(value.lower() for _, value in target)])


def _caller(principal: Principal | None) -> Caller:
    if principal is None:
        return Caller(None, NO_TENANT, "", "")
    roles, scopes = sorted(principal.roles), principal.scopes
    rights = f"{roles} {None if scopes is None else sorted(scopes)} {principal.tenant.plan}"
    own = f"{principal.kind} {principal.id} {principal.user_id} {rights}"
    return Caller(principal, str(principal.tenant.id), own, rights)
