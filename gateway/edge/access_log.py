"""One line for each request: who asked, what was matched, how it ended, how long it took. No path, query or secret."""

import time

import structlog
from starlette.types import Scope

from gateway.logs import InfoLogger, who_asks
from gateway.redaction import redacted
from gateway.request_context import RequestContext, route_template


class AccessLog:
    """Writes the line through ``logger``: the one that ``configure_logging`` returns, which is cheap enough for it."""

    def __init__(self, logger: InfoLogger | None = None) -> None:
        self._logger = logger or structlog.get_logger("access")

    def write(self, scope: Scope, context: RequestContext, status: int) -> None:
        """``status`` is 0 when the request ended before an answer began."""
        self._logger.info(
            "request",
            request_id=context.request_id,
            method=scope["method"],
            route=route_template(scope),
            status=status,
            milliseconds=round((time.perf_counter() - context.started) * 1000, 2),
            source=context.client,
            **who_asks(context),
            **(redacted(context.log) if context.log else {}),
        )
