"""The first answer to an ``Idempotency-Key`` is the answer. Source: https://docs.stripe.com/api/idempotent_requests.

Only answers that changed something are kept: a refused request may be sent again, corrected, under its key.
"""

import hashlib
import json
from typing import Any, NamedTuple

from gateway.development.stripe.errors import StripeError
from gateway.development.stripe.state import Change, Record

_COLLECTION = "idempotency"
_LONGEST = 255


class Kept(NamedTuple):
    """An answer that was given before."""

    status: int
    body: Record
    request_id: str


def fingerprint(method: str, path: str, parameters: dict[str, Any]) -> str:
    """What makes two requests the same."""
    return hashlib.sha256(json.dumps([method, path, parameters], sort_keys=True).encode()).hexdigest()


def kept_answer(change: Change, key: str, asked: str) -> Kept | None:
    """The answer kept under this key. Raises StripeError when the key was used for another request."""
    if len(key) > _LONGEST:
        raise StripeError(f"Idempotency keys are at most {_LONGEST} characters long.", kind="idempotency_error")
    record = change.get(_COLLECTION, key)
    if record is None:
        return None
    if record["asked"] != asked:
        message = (
            "Keys for idempotent requests can only be used with the same parameters they were first used with."
            f" Try using a key other than '{key}' if you meant to execute a different request."
        )
        raise StripeError(message, kind="idempotency_error")
    return Kept(record["status"], record["body"], record["request_id"])


def keep_answer(change: Change, key: str, asked: str, answer: Kept) -> None:
    """Keep the answer, in the same change as what it tells."""
    kept = {"id": key, "created": change.now, "asked": asked, **answer._asdict()}
    change.put(_COLLECTION, kept)
