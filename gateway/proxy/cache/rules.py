"""What a route's cache does beside RFC 9111: whom answers may be shared with, and which request fields count.

A cache key has to cover everything that an answer may depend on. What the upstream sees of the caller is covered by
the share (``callers.py``), what it sees of the request's target by the key, and other fields by ``Vary``. A field that
the gateway makes for each request can be covered by none of them: an answer that names it in ``Vary`` is not stored.
"""

from dataclasses import dataclass
from typing import Self

from tenants.routes.schemas import CacheSpec, RouteSpec

# The forwarder makes or removes them, and who asks is what they say.
IDENTITY_FIELDS = frozenset({b"authorization", b"x-api-key", b"tenantry-identity"})
_MADE_FOR_EACH_REQUEST = frozenset(
    {
        b"*",
        b"x-forwarded-for",
        b"forwarded",
        b"x-real-ip",
        b"traceparent",
        b"tracestate",
        b"x-request-id",
    }
)
_IN_THE_KEY = frozenset({b"host", b"x-forwarded-host", b"x-forwarded-proto"})
MOST_VARYING = 10  # fields in ``Vary``


@dataclass(frozen=True, slots=True)
class CacheRules:
    """The cache of one route."""

    route: str
    spec: CacheSpec
    own_share: bool  # each principal has its own
    cookies: bool  # the upstream gets them
    constant: frozenset[bytes]  # fields of which the upstream gets the same, whatever was sent

    @classmethod
    def of(cls, route: RouteSpec, spec: CacheSpec) -> Self:
        """The rules that follow from the configuration."""
        rules = route.request_fields
        replaced = {*rules.remove, *rules.set, *rules.set_from_file}
        constant = {each.lower().encode("latin-1") for each in replaced} | _IN_THE_KEY
        if not route.forward_cookies:
            constant.add(b"cookie")
        return cls(
            route=route.name,
            spec=spec,
            own_share=spec.shared_by == "principal",
            cookies=route.forward_cookies,
            constant=frozenset(constant),
        )

    def selecting(self, vary: frozenset[bytes], *, identified: bool) -> tuple[bytes, ...] | None:
        """The request fields that select among the answers; None when the answer cannot be selected by any.

        ``identified``: the upstream was told who asks. Then an answer that varies by it is for that principal alone.
        """
        names = vary - self.constant
        if names & IDENTITY_FIELDS:
            if identified and not self.own_share:
                return None
            names -= IDENTITY_FIELDS
        if names & _MADE_FOR_EACH_REQUEST or len(names) > MOST_VARYING:
            return None
        return tuple(sorted(names))
