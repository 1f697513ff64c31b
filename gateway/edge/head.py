"""HEAD wherever there is GET (RFC 9110 section 9.3.2): the application answers GET and the server drops the body.

FastAPI adds no HEAD to its routes and would answer 405. The stage stands innermost: log and throttle see HEAD.
"""

from starlette.types import ASGIApp, Receive, Scope, Send


class HeadStage:
    """Shows HEAD to the application as GET; the server, which keeps the scope it made, still knows."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope.setdefault("fastapi", {})  # shared, so that the stages outside see which route FastAPI found
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)
