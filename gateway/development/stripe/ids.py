"""Ids and secrets that look like Stripe's. Their parts after the prefix mean nothing, as Stripe's mean nothing."""

import secrets
import string

_ALPHABET = string.ascii_letters + string.digits
_SHORT = 14
_LONG = 24
_LENGTHS = {"cus": _SHORT, "prod": _SHORT, "si": _SHORT, "req": _SHORT, "whsec": 32}


def new_id(prefix: str) -> str:
    """Such as ``cus_NffrFeUfNV2Hib`` or ``price_1MoBy5LkdIwHu7ixZhnattbh``."""
    length = _LENGTHS.get(prefix, _LONG)
    return f"{prefix}_" + "".join(secrets.choice(_ALPHABET) for _ in range(length))
