"""What a caller is told when an upstream gives no answer: which phase failed, never which host (502, 503, 504).

The log gets the detail. Answers that an upstream gives itself, errors too, are not of these: they pass untouched.
"""

from gateway.proxy.client.errors import (
    BadResponse,
    ConnectFailed,
    ConnectionLost,
    ConnectTimedOut,
    ResponseTimedOut,
    TooManyConnections,
    UpstreamFailed,
)
from gateway.proxy.targets.outcomes import Outcome
from tenants.errors import ErrorKind, TenantryError, Unavailable


class UpstreamError(TenantryError):
    """502: the upstream was asked and gave no usable answer."""

    kind = ErrorKind.UPSTREAM
    code = "upstream_error"
    title = "Upstream error"
    message = "The upstream service failed. Retry later."


class UpstreamClosed(UpstreamError):
    """The request may have been done."""

    message = "The upstream service closed the connection before it answered. Check whether the request was done."


class UpstreamAnswerInvalid(UpstreamError):
    message = "The upstream service sent an answer that is not valid HTTP. Report it with the request id."


class UpstreamLoop(UpstreamError):
    """RFC 9110 section 7.6.3: the Via field shows that the request came back here again and again."""

    message = "The request has passed this gateway several times: its upstream leads back to it. Report it."


class UpstreamTimeout(TenantryError):
    """504: the request was sent, at least in part, and a deadline passed."""

    kind = ErrorKind.UPSTREAM_TIMEOUT
    code = "upstream_timeout"
    title = "Upstream timeout"
    message = "The upstream service did not answer in time. Check whether the request was done before you retry."


class UpstreamSendTimeout(UpstreamTimeout):
    message = "The upstream service did not take the request in time. Retry later."


class UpstreamConnectTimeout(UpstreamTimeout):
    message = "The upstream service could not be reached in time. Nothing was done. Retry later."


class UpstreamUnreachable(UpstreamError):
    message = "The upstream service could not be reached. Nothing was done. Retry later."


class UpstreamBusy(Unavailable):
    """Every connection to the upstream that this worker may have is in use."""

    message = "The upstream service has as many requests as it may have at once. Retry later."
    retry_after = 1


class AnswerCutShort(UpstreamError):
    """Raised after the answer has begun: the client's connection is aborted, so that it sees no clean end (PX9)."""

    message = "The upstream service ended in the middle of its answer."


_TOLD: dict[type[UpstreamFailed], type[TenantryError]] = {
    ConnectFailed: UpstreamUnreachable,
    ConnectTimedOut: UpstreamConnectTimeout,
    TooManyConnections: UpstreamBusy,
    BadResponse: UpstreamAnswerInvalid,
    ResponseTimedOut: UpstreamTimeout,
}


def caller_error(error: UpstreamFailed, target: str) -> TenantryError:
    """What the caller is told; ``target`` appears in the log alone."""
    told = _TOLD.get(type(error), UpstreamClosed)
    if isinstance(error, ResponseTimedOut) and error.phase == "send":
        told = UpstreamSendTimeout
    return told(detail=f"{target}: {type(error).__name__} {error}".strip())


def outcome_of(error: UpstreamFailed) -> Outcome:
    """What it says about the target."""
    match error:
        case ConnectFailed() | ConnectTimedOut():
            return Outcome.NO_CONNECTION
        case TooManyConnections():
            return Outcome.BUSY
        case BadResponse():
            return Outcome.INVALID
        case ResponseTimedOut():
            return Outcome.TIMEOUT
        case ConnectionLost(stale=True) | ConnectionLost(unsent=True):
            return Outcome.STALE
    return Outcome.CUT
