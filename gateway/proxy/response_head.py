"""The head of an upstream's answer as the client gets it: untouched but for hop-by-hop fields and our own (PX3, PX5).

``Cache-Control: private`` is added where the upstream says nothing about caching and the caller was authenticated: a
cache in front of the gateway does not know that ``X-API-Key`` makes an answer personal (RFC 9111 section 3.5 names
Authorization alone).
"""

from typing import NamedTuple

from gateway.http1.response_head import FieldBlock
from gateway.proxy.client.response_head import ResponseHead
from gateway.proxy.fields import is_settable_in_answers, sent_back
from gateway.proxy.request_head import PSEUDONYM
from gateway.proxy.rules import CompiledRules
from gateway.request.fields import Field
from tenants.routes.schemas import Access, RouteSpec

_NO_CONTENT = 204
_SETS_COOKIES = frozenset({b"set-cookie", b"set-cookie2"})
_SAYS_CACHING = frozenset({b"cache-control", b"expires", b"pragma"})
_MOST_CACHED = 16  # targets, or kinds of answers that alternate


class Relayed(NamedTuple):
    """What becomes of the fields of an answer."""

    parsed: list[Field]  # as the upstream sent them; kept, so that no other list gets its id
    fields: list[Field]  # for the client
    block: FieldBlock  # the same, rendered


class ResponseHeads:
    """Of one route."""

    def __init__(self, spec: RouteSpec) -> None:
        """Raises OSError and ValueError for a file of ``set_from_file``."""
        self._rules = CompiledRules(spec.response_fields, is_settable_in_answers)
        self._dropped = self._rules.replaced | (frozenset() if spec.forward_cookies else _SETS_COOKIES)
        # The gateway answers for cross-origin requests itself where the route is open to browsers.
        self._beginnings = (b"access-control-",) if spec.browsers else ()
        self._private = spec.access is not Access.PUBLIC and spec.cache is None
        self._cached = spec.cache is not None
        self._relayed: dict[int, Relayed] = {}  # by id of the fields as they were parsed

    def relayed(self, head: ResponseHead) -> "Relayed":
        """The fields for the client, not to be changed: answers with equal heads share them."""
        relayed = self._relayed.get(id(head.fields))
        if relayed is not None and relayed.parsed is head.fields:
            return relayed
        fields = self._fields(head)
        if len(self._relayed) >= _MOST_CACHED:
            self._relayed.clear()
        relayed = self._relayed[id(head.fields)] = Relayed(head.fields, fields, FieldBlock.of(fields))
        return relayed

    def _fields(self, head: ResponseHead) -> list[Field]:
        fields = sent_back(head.fields, self._dropped, self._beginnings)
        fields += self._rules.fields
        if self._private and _SAYS_CACHING.isdisjoint(name for name, _ in fields):
            fields.append((b"cache-control", b"private"))
        if self._cached and not _SETS_COOKIES.isdisjoint(name for name, _ in head.fields):
            fields.append((b"cache-control", b"private"))  # a cookie that is dropped tells that the answer is personal
        received = [value for name, value in head.fields if name == b"via" and value]
        fields.append((b"via", b", ".join([*received, b"1.1 " + PSEUDONYM])))
        if head.status != _NO_CONTENT:  # RFC 9110 section 8.6
            fields += [field for field in head.fields if field[0] == b"content-length"]
        return fields
