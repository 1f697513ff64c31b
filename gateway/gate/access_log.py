"""One line for each request: who asked, what was matched, how it ended, how long it took. No path, query or secret."""

import random
import time

import structlog

from gateway.logs.redaction import redacted
from gateway.logs.setup import InfoLogger, principal_fields
from gateway.request.context import RequestContext

_FIRST_REFUSAL = 400


class AccessLog:
    """Writes the line through ``logger``: the one that ``configure_logging`` returns, which is cheap enough for it.

    Of the requests that were answered well only ``share`` (0 to 1), by chance, leave a line; all others do.
    """

    def __init__(self, logger: InfoLogger | None = None, share: float = 1.0) -> None:
        self._logger = logger or structlog.get_logger("access")
        self._share = share

    def write(self, request: RequestContext, status: int) -> None:
        """``status`` is 0 when the request ended before an answer began."""
        if self._share < 1 and 0 < status < _FIRST_REFUSAL and random.random() >= self._share:  # noqa: S311 - a sample
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
