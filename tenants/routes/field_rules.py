"""Which header fields the rules of a route must leave alone."""

import re
from collections.abc import Iterator

from tenants.routes.faults import Fault, Place
from tenants.routes.schemas import FieldRules, RouteSpec

_HOP_BY_HOP = frozenset(  # RFC 9110 section 7.6.1, and framing: they belong to one connection
    {
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
        *("proxy-authenticate", "proxy-authorization", "content-length", "expect", "host", "http2-settings"),
    }
)
_FORWARDED = re.compile(r"forwarded|via|x-forwarded-.+")  # Tenantry writes them from what it has verified
_CREDENTIALS = frozenset({"authorization", "x-api-key", "cookie"})
_OWN_ANSWERS = re.compile(r"access-control-.+|ratelimit(-.+)?|x-request-id|set-cookie2?|date")
_OTHERS = re.compile(r"[^a-z0-9]")  # a service may read all of them as one character, as CGI does (RFC 3875 4.1.18)


def faults_of_fields(route: RouteSpec) -> Iterator[Fault]:
    """Of the rules for requests and for responses."""
    for name, rules in (("request_fields", route.request_fields), ("response_fields", route.response_fields)):
        for place, field in _written(rules):
            fault = _always(field) or _fault(name, place, field)
            if fault:
                yield Fault((name, *place), "not_allowed", fault)
        yield from _twice(name, rules)


def _written(rules: FieldRules) -> Iterator[tuple[Place, str]]:
    yield from ((("remove", number), name) for number, name in enumerate(rules.remove))
    for part, names in (("set", rules.set), ("add", rules.add), ("set_from_file", rules.set_from_file)):
        yield from (((part, name), name) for name in names)


def _always(field: str) -> str | None:
    if _OTHERS.sub("-", field.lower()).startswith("tenantry-"):
        return "Fields of Tenantry itself cannot be changed."
    if field.lower() in _HOP_BY_HOP:
        return "The field belongs to one connection or to the framing of a message, and cannot be changed."
    return None


def _fault(name: str, place: Place, field: str) -> str | None:
    """What is wrong with a rule for requests or for responses, if anything is."""
    part, lower = place[0], field.lower()
    if name == "request_fields":
        if lower in _CREDENTIALS and part != "set_from_file":
            return "Credentials are always removed, and are stored nowhere: only set_from_file can set this field."
        return "Tenantry itself writes this field." if part != "remove" and _FORWARDED.fullmatch(lower) else None
    if part == "set_from_file":
        return "Only fields of requests can be set from a file."
    return "Tenantry itself writes this field." if part != "remove" and _OWN_ANSWERS.fullmatch(lower) else None


def _twice(name: str, rules: FieldRules) -> Iterator[Fault]:
    """Two spellings of one field in one part: which of them counts would be unclear."""
    for part, names in (("set", rules.set), ("add", rules.add), ("set_from_file", rules.set_from_file)):
        seen: set[str] = set()
        for field in names:
            if field.lower() in seen:
                yield Fault((name, part, field), "not_unique", "Another spelling of the field is there already.")
            seen.add(field.lower())
    both = {field.lower() for field in rules.set} & {field.lower() for field in rules.set_from_file}
    yield from (
        Fault((name, "set_from_file", field), "not_unique", "The field is in set already.")
        for field in rules.set_from_file
        if field.lower() in both
    )
