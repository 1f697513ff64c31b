"""Types of settings that several groups use. Each refusal says what the value must be, and never what it was."""

import base64
import re
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from tenants.values.errors import BadValue
from tenants.values.networks import read_network
from tenants.values.origins import read_origin

_LEAST_SECRET = 32  # bytes
_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


class Mode(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


def by_commas(text: str) -> list[str]:
    """The parts between commas; an empty part is dropped."""
    return [each.strip() for each in text.split(",") if each.strip()]


def secret_bytes(text: str) -> bytes:
    """The bytes of a base64 secret. Raises ValueError when they are too few."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError:
        decoded = b""
    if len(decoded) < _LEAST_SECRET:
        raise ValueError(f"must be base64 of at least {_LEAST_SECRET} bytes")
    return decoded


def separated(value: object) -> object:
    """The parts of a text between commas; a list as it is."""
    return by_commas(value) if isinstance(value, str) else value


def _host_names(value: list[str]) -> list[str]:
    # A value that no Host field can equal, such as a URL, would refuse every request.
    if not all(_HOST_NAME.fullmatch(each) for each in value):
        raise ValueError("must be host names separated by commas, without scheme, port or wildcard")
    return value


def _networks(value: list[str]) -> list[str]:
    try:
        _ = [read_network(each) for each in value]
    except BadValue as error:
        message = "must be addresses or networks separated by commas, with no zone id and no bit set beyond the prefix"
        raise ValueError(message) from error
    return value


def _origins(value: list[str]) -> list[str]:
    try:
        return [read_origin(each) for each in value]
    except BadValue as error:
        raise ValueError("must be origins separated by commas, such as https://app.example.com") from error


def _http_url(value: str) -> str:
    url = urlsplit(value)
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment:
        raise ValueError("must be an http or https URL, without a query")
    return value


def _strong(value: SecretStr) -> SecretStr:
    _ = secret_bytes(value.get_secret_value())
    return value


HostNames = Annotated[list[str], NoDecode, BeforeValidator(separated), AfterValidator(_host_names)]
Origins = Annotated[list[str], NoDecode, BeforeValidator(separated), AfterValidator(_origins)]
Networks = Annotated[list[str], NoDecode, BeforeValidator(separated), AfterValidator(_networks)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
StrongSecret = Annotated[SecretStr, AfterValidator(_strong)]
