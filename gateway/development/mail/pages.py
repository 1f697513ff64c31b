"""The sink's messages over HTTP: a list and a page for people, JSON for programs."""

from html import escape
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from gateway.development.mail.mailbox import Mailbox, ReceivedMail

_PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
    "<style>body{{font:16px/1.5 sans-serif;margin:2rem auto;max-width:60rem}}"
    "td,th{{text-align:left;padding:.2rem .8rem}}"
    "iframe{{width:100%;height:24rem;border:1px solid #ccc}}pre{{white-space:pre-wrap}}</style>{body}</html>"
)
# A message is shown in a frame without scripts and without our origin, so that its content cannot act as the page.
_FRAME = '<iframe sandbox="allow-popups" srcdoc="{html}" title="HTML part"></iframe>'


def create_pages(mailbox: Mailbox) -> Starlette:
    """``/`` and ``/view/{number}`` for people; ``/messages`` (``?to=``, DELETE), ``/messages/{number}`` as JSON."""

    async def index(_request: Request) -> Response:
        rows = "".join(_row(each) for each in mailbox.messages())
        table = f"<table><tr><th>received<th>to<th>subject</tr>{rows}</table>" if rows else "<p>No mail so far.</p>"
        return HTMLResponse(_PAGE.format(title="Mail", body=f"<h1>Mail</h1>{table}"))

    async def view(request: Request) -> Response:
        found = mailbox.find(request.path_params["number"])
        return Response(status_code=HTTPStatus.NOT_FOUND) if found is None else HTMLResponse(_page(found))

    async def every(request: Request) -> Response:
        if request.method == "DELETE":
            mailbox.clear()
            return Response(status_code=HTTPStatus.NO_CONTENT)
        found = mailbox.messages(request.query_params.get("to"))
        return JSONResponse({"data": [each.as_json() for each in found]})

    async def one(request: Request) -> Response:
        found = mailbox.find(request.path_params["number"])
        return Response(status_code=HTTPStatus.NOT_FOUND) if found is None else JSONResponse(found.as_json())

    return Starlette(
        routes=[
            Route("/", index),
            Route("/view/{number:int}", view),
            Route("/messages", every, methods=["GET", "DELETE"]),
            Route("/messages/{number:int}", one),
        ]
    )


def _row(mail: ReceivedMail) -> str:
    subject = escape(mail.subject or "(no subject)")
    cells = (escape(mail.received_at), escape(", ".join(mail.recipients)))
    return f'<tr><td>{"<td>".join(cells)}<td><a href="/view/{mail.number}">{subject}</a></tr>'


def _page(mail: ReceivedMail) -> str:
    head = f"<h1>{escape(mail.subject)}</h1><p>To {escape(', '.join(mail.recipients))}, {escape(mail.received_at)}</p>"
    html = _FRAME.format(html=escape(mail.html)) if mail.html else ""
    body = f'<p><a href="/">All mail</a></p>{head}<pre>{escape(mail.text)}</pre>{html}'
    return _PAGE.format(title=escape(mail.subject), body=body)
