"""The access log: one line for each request, without path, query and secrets."""

import random
import time

import structlog

from gateway.logs.redaction import redacted
from gateway.logs.setup import InfoLogger, principal_fields
from gateway.request.context import RequestContext

_FIRST_ERROR = 400


class AccessLog:
    """Writes through ``logger``, for which ``configure_logging`` returns a cheap one.

    Successful requests are sampled at the rate ``share`` (0 to 1); all others are logged, those cut short too.
    """

    def __init__(self, logger: InfoLogger | None = None, share: float = 1.0) -> None:
        self._logger = logger or structlog.get_logger("access")
        self._share = share

    def write(self, request: RequestContext, status: int) -> None:
        """``status`` is 0 when the request ended before a response began."""
        complete = 0 < status < _FIRST_ERROR and "cut_short" not in request.log
        if complete and self._share < 1 and random.random() >= self._share:  # noqa: S311 - a sample
            return
        self._logger.info(
            "request",
            request_id=request.request_id,
            method=request.scope["method"],
            route=request.template,
            status=status,
            milliseconds=round((time.perf_counter() - request.started) * 1000, 2),
            source=request.client,
            **principal_fields(request),
            **(redacted(request.log) if request.log else {}),
        )
