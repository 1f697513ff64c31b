"""Which shapes are served. Source: https://docs.stripe.com/api/versioning and the changelog of 2025-03-31.basil."""

import re

from gateway.development.stripe.errors import StripeError

SERVED_VERSION = "2026-10-28.endive"
_OLDEST = "2025-03-31"  # since then the current period stands on the subscription's items, which is the shape we serve
_FORM = re.compile(r"(\d{4}-\d{2}-\d{2})(\.[a-z]+)?")


def negotiate(asked: str | None) -> str:
    """The version to answer with; raises StripeError for one whose shapes differ from ours, or that is none."""
    if asked is None:
        return SERVED_VERSION
    match = _FORM.fullmatch(asked)
    if match is None:
        raise StripeError(f"Invalid Stripe API version: {asked}")
    if match[1] < _OLDEST:
        raise StripeError(f"This stand-in serves the shapes of {_OLDEST} and later, not those of {asked}.")
    return asked
