"""How many bytes of a body each kind of route reads (LD1, DA2).

The server's ``TENANTRY_BODY_LIMIT`` is the ceiling of all of these. Proxied routes have bounds of their own, which may
be higher: their bodies are not held (docs/decisions/0054).
"""

from dataclasses import replace

from gateway.request.route import Audience, Terms
from tenants.resources.errors import DeclarationError

KIB, MIB = 1_024, 1_048_576

NO_BODY_LIMIT = KIB  # of a route that takes none: many clients send {} with every POST; it is not read
PUBLIC_LIMIT = 8 * KIB
BODY_LIMIT = 64 * KIB
# Of a JSON body, whatever a route declares: parsing holds the interpreter lock, 7 ms for the worst 1 MiB of texts.
LARGEST_DOCUMENT = 2 * MIB


def with_bounds(path: str, terms: Terms, *, has_body: bool, is_json: bool) -> Terms:
    """The terms, their body limit set where the endpoint leaves it open.

    Raises DeclarationError for a limit up to which a document would block the event loop.
    """
    limit = terms.body_limit
    if limit is None:
        return replace(terms, body_limit=_default(terms, has_body=has_body))
    if is_json and limit > LARGEST_DOCUMENT:
        raise DeclarationError(
            f"Route {path}",
            f"body_limit is {limit}, and a JSON body has at most {LARGEST_DOCUMENT} bytes; "
            "lower it, or take the request instead of a body model and read its stream",
        )
    return terms


def _default(terms: Terms, *, has_body: bool) -> int:
    if not has_body:
        return NO_BODY_LIMIT
    return PUBLIC_LIMIT if terms.guard.audience is Audience.EVERYBODY else BODY_LIMIT
