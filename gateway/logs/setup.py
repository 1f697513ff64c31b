"""Structured logs: one JSON object per line in production, readable lines in development, both without secrets.

Lines that are written during a request have its id, tenant and principal, from a context variable that the gate sets.
"""

import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol, TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from gateway.logs.redaction import redacted
from gateway.logs.stream import LogStream
from gateway.request.context import RequestContext
from tenants.identifiers import API_KEY, OPERATOR_KEY, TENANT, USER, WORKLOAD_RULE, show
from tenants.principal import PrincipalKind

current_request: ContextVar[RequestContext | None] = ContextVar("current_request", default=None)

_format_id = lru_cache(maxsize=8192)(show)  # few ids are on most lines
_FIELD_AND_PREFIX = {
    PrincipalKind.API_KEY: ("api_key_id", API_KEY),
    PrincipalKind.USER: ("user_id", USER),
    PrincipalKind.OPERATOR: ("operator_key_id", OPERATOR_KEY),
    PrincipalKind.WORKLOAD: ("workload_rule_id", WORKLOAD_RULE),
}


def principal_fields(context: RequestContext) -> dict[str, str]:
    """The log fields of the request's principal: ids only, under names that redaction leaves alone."""
    if context.principal is not None:
        principal = context.principal
        field, prefix = _FIELD_AND_PREFIX[principal.kind]
        return {"tenant_id": _format_id(TENANT, principal.tenant.id), field: _format_id(prefix, principal.id)}
    if context.operator is not None:
        return {"operator_key_id": _format_id(OPERATOR_KEY, context.operator.id)}
    return {}


class InfoLogger(Protocol):
    """The logger that an access log needs."""

    def info(self, event: str, /, **fields: object) -> object:
        """Write one line, unless the level is disabled."""


class LineWriter:
    """Serialises directly to JSON, in 1.5 µs where structlog's processors take 50, for lines without foreign values."""

    def __init__(self, stream: TextIO, *, silent: bool) -> None:
        self._stream = stream
        self._silent = silent

    def info(self, event: str, /, **fields: object) -> None:
        """Write one line in the format of all others."""
        if not self._silent:
            line = {"timestamp": datetime.now(UTC), "level": "info", "event": event, **fields}
            self._stream.buffer.write(orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE))
            self._stream.buffer.flush()


def configure_logging(*, level: str, readable: bool, stream: TextIO | LogStream | None = None) -> InfoLogger:
    """Send structlog's and the standard library's loggers through the same processors to ``stream`` (standard error).

    ``readable`` is for a terminal; otherwise each line is a JSON object. Returns the logger for ``AccessLog``, which
    bypasses structlog for JSON.
    """
    threshold = logging.getLevelNamesMapping()[level]
    shared: list[Processor] = [
        _add_request,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact,
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer() if readable else structlog.processors.JSONRenderer(serializer=_json)
    )
    target = cast("TextIO", stream or sys.stderr)  # a LogStream has the methods that loggers call
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=False,  # module loggers follow a new configuration
    )
    _route_standard_library(level, shared, renderer, target)
    return access_logger(level=level, readable=readable, stream=target)


def access_logger(*, level: str, readable: bool, stream: TextIO | None = None) -> InfoLogger:
    """The logger for access log lines; logging must be configured with the same arguments."""
    target = stream or sys.stderr
    if readable or not hasattr(target, "buffer"):
        return cast("InfoLogger", structlog.get_logger("access"))
    return LineWriter(target, silent=logging.getLevelNamesMapping()[level] > logging.INFO)


def _route_standard_library(level: str, shared: list[Processor], renderer: Processor, target: TextIO) -> None:
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each.formatter, structlog.stdlib.ProcessorFormatter)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    logging.getLogger("casbin").setLevel(logging.WARNING)  # it logs its model at every start
    for name in ("uvicorn", "uvicorn.error"):  # uvicorn's own handlers would duplicate each line
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").handlers.clear()
    logging.getLogger("uvicorn.access").propagate = False


def _json(event: EventDict, **_: object) -> str:
    return orjson.dumps(event, default=str).decode()


def _add_request(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    context = current_request.get()
    if context is not None and "request_id" not in event:
        event["request_id"] = context.request_id
        event.update(principal_fields(context))
    return event


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return redacted(event)
