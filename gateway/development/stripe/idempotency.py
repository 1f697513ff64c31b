"""Replays the first response to an ``Idempotency-Key``. Source: https://docs.stripe.com/api/idempotent_requests.

Only responses of successful requests are stored: a rejected request may be corrected and sent under its key.
"""

import hashlib
import json
from typing import Any, NamedTuple

from gateway.development.stripe.errors import StripeError
from gateway.development.stripe.state import Change, Record

_COLLECTION = "idempotency"
_LONGEST = 255


class StoredResponse(NamedTuple):
    """The response to an earlier request."""

    status: int
    body: Record
    request_id: str


def fingerprint(method: str, path: str, parameters: dict[str, Any]) -> str:
    """Equal for requests with the same method, path and parameters."""
    return hashlib.sha256(json.dumps([method, path, parameters], sort_keys=True).encode()).hexdigest()


def stored_response(change: Change, key: str, requested: str) -> StoredResponse | None:
    """The response stored under this key. Raises StripeError when the key was used for another request."""
    if len(key) > _LONGEST:
        raise StripeError(f"Idempotency keys are at most {_LONGEST} characters long.", kind="idempotency_error")
    record = change.get(_COLLECTION, key)
    if record is None:
        return None
    if record["asked"] != requested:
        message = (
            "Keys for idempotent requests can only be used with the same parameters they were first used with."
            f" Try using a key other than '{key}' if you meant to execute a different request."
        )
        raise StripeError(message, kind="idempotency_error")
    return StoredResponse(record["status"], record["body"], record["request_id"])


def store_response(change: Change, key: str, requested: str, response: StoredResponse) -> None:
    """Store the response in the same change as its effects."""
    record = {"id": key, "created": change.now, "asked": requested, **response._asdict()}
    change.put(_COLLECTION, record)
