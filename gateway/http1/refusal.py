"""Answers that the edge gives by itself, where there is no request to hand to the application."""

from typing import NamedTuple

from gateway.gate.request_id import RequestIds
from gateway.http1.header_lines import Field
from gateway.logs.setup import InfoLogger
from gateway.problems.documents import Problems
from tenants.errors import TenantryError


class Answer(NamedTuple):
    """A whole answer. The connection ends with it."""

    status: int
    headers: list[Field]
    body: bytes


class Refusals:
    """Makes problem documents with a request id, and writes a line for each.

    The line is one of the access log, without method and route: nothing of the request is believed.
    """

    def __init__(self, problems: Problems, logger: InfoLogger) -> None:
        self._ids = RequestIds()
        self._problems = problems
        self._logger = logger

    def answer(self, error: TenantryError, source: str, seconds: float) -> Answer:
        """``source`` is the address of the socket's peer, ``seconds`` how long the request took to be refused."""
        request_id = self._ids.next()
        document = self._problems.response(error, request_id)
        headers = [*document.raw_headers, (b"x-request-id", request_id.encode()), (b"connection", b"close")]
        self._logger.info(
            "request",
            request_id=request_id,
            method=None,
            route=None,
            status=document.status_code,
            milliseconds=round(seconds * 1000, 2),
            source=source,
            code=error.code,
            detail=error.detail,  # words of ours: nothing in it was sent
        )
        return Answer(document.status_code, headers, bytes(document.body))
