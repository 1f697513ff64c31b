"""The body of a form, read as strictly as RFC 6749 section 3.2 wants: no parameter twice, an empty one is none."""

from urllib.parse import unquote_plus

from fastapi import Request

from gateway.problems.errors import UnsupportedMediaType
from gateway.routing.body import read_body
from tenants.oauth.errors import InvalidTokenRequest

FORM_MEDIA_TYPE = "application/x-www-form-urlencoded"
_MOST_PARAMETERS = 50


class FormExpected(UnsupportedMediaType):
    message = "Send the body as application/x-www-form-urlencoded."


async def read_form(request: Request) -> dict[str, str]:
    """The parameters by name. Raises FormExpected, InvalidTokenRequest, and what ``read_body`` raises."""
    body = await read_body(request)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_MEDIA_TYPE:
        raise FormExpected
    if body.count(b"&") >= _MOST_PARAMETERS:
        raise InvalidTokenRequest(detail=f"more than {_MOST_PARAMETERS} parameters")
    try:
        pairs = [_pair(each) for each in body.decode("ascii").split("&") if each]
    except ValueError as error:
        raise InvalidTokenRequest(detail="not percent-encoded UTF-8 without control characters") from error
    form = dict(pairs)
    if len(form) < len(pairs):
        raise InvalidTokenRequest(detail="a repeated parameter")
    return {name: value for name, value in form.items() if value}


def _pair(text: str) -> tuple[str, str]:
    name, _, value = (unquote_plus(part, errors="strict") for part in text.partition("="))
    if not (name + value).isprintable():
        raise ValueError("control characters")
    return name, value
