"""HTML pages without script: one style, one content security policy, nothing from elsewhere."""

import base64
import hashlib
from html import escape
from string import Template

from fastapi import Response

# Colours, also of links, are the browser's own for its light or dark scheme.
_STYLE = (
    ":root{color-scheme:light dark}body{font:1rem/1.6 system-ui,sans-serif;max-width:42rem;margin:3rem auto;"
    "padding:0 1rem;overflow-wrap:anywhere}code{font-family:ui-monospace,monospace}dt{font-weight:600}"
    "dd{margin:0 0 1rem}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "cache-control": "public, max-age=3600",
}
_PAGE = Template(
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    f"<title>$title</title><style>{_STYLE}</style></head>\n<body><main><h1>$title</h1>\n$content</main></body></html>\n"
)


def page(title: str, content: str) -> Response:
    """A page with this heading. ``content`` is HTML, ``title`` is text."""
    html = _PAGE.substitute(title=escape(title), content=content)
    return Response(html, headers=_HEADERS, media_type="text/html")
