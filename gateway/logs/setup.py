"""Structured logs: one JSON object a line in production, readable lines in development, and no secret in either.

A line written while a request is in hand carries its id, tenant and principal, from a context variable that the
outermost stage sets (50 ns); nothing below the gateway needs to know of it.
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
from tenants.identifiers import API_KEY, OPERATOR_KEY, TENANT, USER, show
from tenants.principal import PrincipalKind

request_in_hand: ContextVar[RequestContext | None] = ContextVar("request_in_hand", default=None)

_shown = lru_cache(maxsize=8192)(show)  # the same few stand on most lines
_FIELD_AND_PREFIX = {PrincipalKind.API_KEY: ("api_key_id", API_KEY), PrincipalKind.USER: ("user_id", USER)}


def who_asks(context: RequestContext) -> dict[str, str]:
    """The fields that tell whose request it was, by ids only, and never under a secret's name."""
    if context.principal is not None:
        principal = context.principal
        field, prefix = _FIELD_AND_PREFIX[principal.kind]
        return {"tenant_id": _shown(TENANT, principal.tenant.id), field: _shown(prefix, principal.id)}
    if context.operator is not None:
        return {"operator_key_id": _shown(OPERATOR_KEY, context.operator.id)}
    return {}


class InfoLogger(Protocol):
    """What an access log asks of a logger."""

    def info(self, event: str, /, **fields: object) -> object:
        """Write one line, unless its level is switched off."""


class LineWriter:
    """To JSON in one step: 1.5 µs where structlog's chain takes 50, for lines whose fields are all ours."""

    def __init__(self, stream: TextIO, *, silent: bool) -> None:
        self._stream = stream
        self._silent = silent

    def info(self, event: str, /, **fields: object) -> None:
        """One line, in the shape of all others."""
        if not self._silent:
            line = {"timestamp": datetime.now(UTC), "level": "info", "event": event, **fields}
            self._stream.buffer.write(orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE))
            self._stream.buffer.flush()


def configure_logging(*, level: str, readable: bool, stream: TextIO | LogStream | None = None) -> InfoLogger:
    """Send structlog and the standard library's loggers through one chain to ``stream`` (standard error by default).

    ``readable`` is for a person at a terminal; otherwise each line is one JSON object. Returns the logger for
    ``AccessLog``, which takes a shorter way where lines are not for reading.
    """
    threshold = logging.getLevelNamesMapping()[level]
    shared: list[Processor] = [
        _name_the_request,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _take_secrets_out,
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer() if readable else structlog.processors.JSONRenderer(serializer=_json)
    )
    target = cast("TextIO", stream or sys.stderr)  # a LogStream is as much of one as any logger asks for
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=False,  # a module's logger follows when logging is configured again
    )
    _route_standard_library(level, shared, renderer, target)
    return access_logger(level=level, readable=readable, stream=target)


def access_logger(*, level: str, readable: bool, stream: TextIO | None = None) -> InfoLogger:
    """What access lines are written through, once logging is configured in the same way."""
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
    logging.getLogger("casbin").setLevel(logging.WARNING)  # its model, at every start, is news to nobody
    for name in ("uvicorn", "uvicorn.error"):  # uvicorn's own handlers would print each line twice
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").handlers.clear()
    logging.getLogger("uvicorn.access").propagate = False


def _json(event: EventDict, **_: object) -> str:
    return orjson.dumps(event, default=str).decode()


def _name_the_request(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    context = request_in_hand.get()
    if context is not None and "request_id" not in event:
        event["request_id"] = context.request_id
        event.update(who_asks(context))
    return event


def _take_secrets_out(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return redacted(event)
