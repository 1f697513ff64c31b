"""Invalid JSON in any form is a 4xx, never a 5xx, and is never echoed (DA1)."""

import time
from contextlib import suppress
from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from gateway.authorization.guards import public
from gateway.problems.errors import MalformedRequest, PayloadTooLarge
from gateway.request.route import DEFAULT_VALUES, MOST_VALUES
from gateway.routing.api_router import APIRouter
from gateway.routing.strict_json import MOST_LEVELS, parse
from gateway.routing.terms import terms
from tests.asgi import HOST, Response, call, http_scope
from tests.gated_app import gated_app

pytestmark = pytest.mark.anyio

HOSTILE: dict[str, bytes] = {
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": Infinity}',
    "-Infinity": b'{"a": -Infinity}',
    "1e999": b'{"a": 1e999}',
    "-1e999": b'{"a": -1e999}',
    "5,000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "an integer past 64 bits": b'{"a": 18446744073709551616}',
    "a negative one": b'{"a": -9223372036854775809}',
    "30 digits": b'{"a": 123456789012345678901234567890}',
    "lone high surrogate": b'{"a": "\\ud800"}',
    "lone low surrogate": b'{"a": "\\udc00"}',
    "surrogates the wrong way round": b'{"a": "\\udc00\\ud800"}',
    "surrogate in a name": b'{"\\ud800": 1}',
    "surrogate in UTF-8": b'{"a": "\xed\xa0\x80"}',
    "NUL escaped": b'{"a": "x\\u0000y"}',
    "NUL in a name": b'{"a\\u0000": 1}',
    "NUL raw": b'{"a": "x\x00y"}',
    "control byte in a text": b'{"a": "x\x1fy"}',
    "invalid UTF-8": b'{"a": "\xff\xfe"}',
    "overlong UTF-8": b'{"a": "\xc0\xaf"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-32": '{"a": 1}'.encode("utf-32"),
    "two byte order marks": b'\xef\xbb\xbf\xef\xbb\xbf{"a": 1}',
    "a byte order mark alone": b"\xef\xbb\xbf",
    "900 lists deep": b"[" * 900 + b"]" * 900,
    "900 objects deep": b'{"a":' * 900 + b"1" + b"}" * 900,
    "900 lists, none closed": b"[" * 900,
    "one level too many": b"[" * (MOST_LEVELS + 1) + b"]" * (MOST_LEVELS + 1),
    "the same name twice": b'{"a": 1, "a": 2}',
    "the same name twice, one escaped": b'{"a": 1, "\\u0061": 2}',
    "the same name twice, deep": b'{"x": [{"a": ":", "b": {"c": 1, "c": 1}}]}',
    "the same name twice among colons": b'{"a:": ":", "b": 1, "b": 2}',
    "trailing garbage": b'{"a": 1} x',
    "two documents": b'{"a": 1}{"a": 1}',
    "trailing comma": b'{"a": 1,}',
    "comment": b'{"a": 1} // one',
    "single quotes": b"{'a': 1}",
    "bare name": b"{a: 1}",
    "leading zero": b'{"a": 01}',
    "plus": b'{"a": +1}',
    "hexadecimal": b'{"a": 0x1}',
    "half a number": b'{"a": 1.}',
    "half a literal": b'{"a": tru}',
    "half an escape": b'{"a": "\\u12"}',
    "unknown escape": b'{"a": "\\x41"}',
    "cut off": b'{"a": "',
    "white space alone": b"   \n\t ",
    "a lone quote": b'"',
    "not JSON at all": b"a=1&b=2",
}


def _routes(application: FastAPI) -> None:
    router = APIRouter()

    @router.post("/anything")
    @terms(public)
    async def anything(body: dict[str, Any] | list[Any]) -> dict[str, Any]:
        return {"read": len(body)}

    application.include_router(router, prefix="/v1")


_app = gated_app(_routes)


async def _post(body: bytes, content_type: bytes | None = b"application/json") -> Response:
    headers = [HOST, (b"content-length", str(len(body)).encode())]
    if content_type is not None:
        headers.append((b"content-type", content_type))
    return await call(_app, http_scope("POST", "/v1/anything", headers=headers), [body])


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_body_is_refused_and_not_echoed(body: bytes) -> None:
    """DA1."""
    answer = await _post(body)
    assert (answer.status, answer.json()["code"]) == (400, "malformed_request")
    assert set(answer.json()) == {"type", "title", "status", "detail", "code", "request_id"}
    assert answer.json()["detail"].startswith("The body ")


NOT_UTF8 = "The body is not UTF-8, as JSON must be (RFC 8259 section 8.1)."
TWICE = "The body has the same name twice in one object."
TOO_DEEP = "The body is nested too deeply: it has more than 64 levels."
TOO_LONG = "The body has a whole number beyond 64 bits."
NUL = "The body has a text with U+0000 in it."
RULES: dict[str, str] = {
    "NaN": "The body is not valid JSON: unexpected character, expected a JSON value.",
    "1e999": "The body is not valid JSON: number is infinity when parsed as double.",
    "an integer past 64 bits": TOO_LONG,
    "lone high surrogate": "The body is not valid JSON: no low surrogate in string.",
    "invalid UTF-8": NOT_UTF8,
    "UTF-16": NOT_UTF8,
    "two byte order marks": "The body is not valid JSON: UTF-8 byte order mark (BOM) is not supported.",
    "NUL escaped": NUL,
    "control byte in a text": "The body is not valid JSON: unexpected control character in string.",
    "one level too many": TOO_DEEP,
    "900 objects deep": TOO_DEEP,
    "the same name twice": TWICE,
    "trailing comma": "The body is not valid JSON: trailing comma is not allowed.",
    "two documents": "The body is not valid JSON: unexpected content after document.",
    "single quotes": "The body is not valid JSON: unexpected character, expected a string key.",
    "leading zero": "The body is not valid JSON: number with leading zero is not allowed.",
    "cut off": "The body is not valid JSON: unexpected end of data.",
}


@pytest.mark.parametrize(("name", "rule"), RULES.items(), ids=RULES.keys())
async def test_an_unreadable_body_names_the_rule_that_it_breaks(name: str, rule: str) -> None:
    """DA1: in a constant text, so that nothing of the input is in it."""
    assert (await _post(HOSTILE[name])).json()["detail"] == rule


@pytest.mark.parametrize("levels", [MOST_LEVELS + 1, 1_100])
def test_a_deep_body_names_the_same_rule_at_any_depth(levels: int) -> None:
    """DA1: orjson has a bound of its own."""
    with pytest.raises(MalformedRequest) as refused:
        parse(b"[" * levels + b"]" * levels, MOST_VALUES)
    assert refused.value.message == TOO_DEEP


@pytest.mark.parametrize("document", [b'{"a": 1}', b' {"a": [1, ":"], "b": "12:00:00"}', b'{"a": 2, "a": 1}', b"{"])
async def test_a_byte_order_mark_is_ignored(document: bytes) -> None:
    """DA1: RFC 8259 section 8.1 allows it, and some clients send one; the document is read as without it."""
    marked, plain = await _post(b"\xef\xbb\xbf" + document), await _post(document)
    assert marked.status == plain.status
    assert marked.json() | {"request_id": None} == plain.json() | {"request_id": None}


async def test_an_empty_body_is_missing() -> None:
    """DA1."""
    answer = await _post(b"")
    assert (answer.status, answer.json()["errors"][0]["code"]) == (422, "missing")


@pytest.mark.parametrize("content_type", [None, b"", b"text/plain", b"application/x-www-form-urlencoded", b"text/json"])
async def test_a_body_that_is_not_declared_as_json_is_415(content_type: bytes | None) -> None:
    answer = await _post(b'{"a": 1}', content_type)
    assert (answer.status, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type",
    [b"application/json", b"Application/JSON; charset=utf-8", b"application/merge-patch+json", b"application/json ;x"],
)
async def test_every_json_media_type_is_accepted(content_type: bytes) -> None:
    assert (await _post(b'{"a": 1}', content_type)).status == 200


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b"[" * MOST_LEVELS + b"]" * MOST_LEVELS, None),
        (b'{"a": ":::", "b:": {"a": "\\":"}}', {"a": ":::", "b:": {"a": '":'}}),
        (b'{"a": "\\\\u0000"}', {"a": "\\u0000"}),
        (b'{"a": 18446744073709551615}', {"a": 2**64 - 1}),
        (b'{"a": -9223372036854775808, "b": 1e30, "c": 12345678901234567890.5}', None),
        (b'{"a": "123456789012345678901234567890", "b": 1e300}', None),
        (b'[{"a": 1}, {"a": 1}]', [{"a": 1}, {"a": 1}]),
        (b' \r\n\t{"a": "\\ud83d\\ude00"} ', {"a": "\U0001f600"}),
    ],
)
def test_valid_documents_are_read(body: bytes, document: object) -> None:
    """DA1 refuses hostile bodies, not unusual ones."""
    read = parse(body)
    assert document is None or read == document


def _flat(kind: str, values: int) -> bytes:
    """A document with that many values, itself included."""
    inside = values - 1
    if kind == "members":
        return b"{" + b",".join(b'"%d":1' % number for number in range(inside)) + b"}"
    if kind == "nested":  # two values each
        return b"[" + b",".join([b"[1]"] * (inside // 2) + [b"1"] * (inside % 2)) + b"]"
    item = {"numbers": b"1", "lists": b"[]", "objects": b"{}", "texts": b'"[,]"'}[kind]
    return b"[" + b",".join([item] * inside) + b"]"


_KINDS = ("members", "nested", "numbers", "lists", "objects", "texts")


@pytest.mark.parametrize("limit", [1, 2, 7, DEFAULT_VALUES, MOST_VALUES])
@pytest.mark.parametrize("kind", _KINDS)
def test_the_values_of_a_document_are_bounded(kind: str, limit: int) -> None:
    """LD1: at the bound and one beyond it, whatever the values are."""
    assert parse(_flat(kind, limit), limit) is not None
    for beyond in (limit + 1, 3 * limit + 9):
        with pytest.raises(PayloadTooLarge) as refused:
            parse(_flat(kind, beyond), limit)
        assert f"more than {limit:,} values" in refused.value.message


@pytest.mark.parametrize("text", [",", "[{", "\\", '"', '\\"', '",[', "\\\\,", "é,", "a"])
def test_a_long_text_is_one_value(text: str) -> None:
    """LD1: what is inside a text is not structure, however it is escaped."""
    document = {"notes": text * 20_000, 'a "name",\\': "end"}
    assert parse(orjson.dumps(document), 3) == document
    with pytest.raises(PayloadTooLarge):
        parse(orjson.dumps(document), 2)


def _count(document: object) -> int:
    inner = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    return 1 + sum(map(_count, inner))


_MEGABYTE = 1_048_576
HARMFUL: dict[str, bytes] = {
    **{kind: _flat(kind, 100_000) for kind in _KINDS},
    "empty lists": b"[" + b"[]," * (_MEGABYTE // 3) + b"[]]",
    "unclosed lists": b"[" * _MEGABYTE,
    "repeated names": b"{" + b'"a":1,' * (_MEGABYTE // 6) + b'"a":1}',
    "long integers": b"[" + b"12345678901234567890123," * (_MEGABYTE // 24) + b"1]",
    "commas": b'"' + b"," * _MEGABYTE + b'"',
    "colons": b'{"a:":"' + b":" * _MEGABYTE + b'"}',
    "escaped quotes": b'{"a:":"' + b'\\",:' * (_MEGABYTE // 4) + b'"}',
    "backslashes": b'{"a:":"' + b"\\\\" * (_MEGABYTE // 2) + b'"}',
    "quotes": b'"' * _MEGABYTE,
    "digits": b"[1." + b"1" * _MEGABYTE + b"]",
    "a small number with many digits": b"[" + b"1" * _MEGABYTE + b"e-1048000]",
    "byte order marks": b"\xef\xbb\xbf" * (_MEGABYTE // 3),
}


@pytest.mark.parametrize("body", HARMFUL.values(), ids=HARMFUL.keys())
def test_no_megabyte_takes_long_to_read_or_to_refuse(body: bytes) -> None:
    """LD1: 1 to 8 ms of CPU time each. The bound allows for a machine that is ten times slower."""
    began = time.thread_time()
    with suppress(MalformedRequest, PayloadTooLarge):
        parse(body)
    assert time.thread_time() - began < 0.08


_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
_numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_scalar = st.none() | st.booleans() | _numbers | _text


def _around(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return inner | st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3)


_document = _around(_around(_scalar))


@given(_document)
def test_a_valid_document_is_unchanged(document: object) -> None:
    """DA1: with colons, quotes and escapes in its strings."""
    assert parse(orjson.dumps(document)) == document


@given(_document)
def test_values_are_counted_exactly(document: object) -> None:
    """LD1: the count of commas and brackets before parsing refuses nothing that is within the bound."""
    body, values = orjson.dumps(document), _count(document)
    assert parse(body, values) == document
    if values > 1:
        with pytest.raises(PayloadTooLarge):
            parse(body, values - 1)


@given(st.dictionaries(_text, _document, min_size=1, max_size=3), st.integers(0, 2), _document)
def test_a_repeated_name_is_found_at_any_depth(members: dict[str, object], which: int, other: object) -> None:
    """DA1."""
    name = sorted(members)[which % len(members)]
    repeated = orjson.dumps(members)[:-1] + b"," + orjson.dumps(name) + b":" + orjson.dumps(other) + b"}"
    for wrapped in (repeated, b"[1," + repeated + b"]", b'{"outer":' + repeated + b"}"):
        with pytest.raises(MalformedRequest):
            parse(wrapped)


@given(st.binary(max_size=60) | st.text('{}[]",:\\u0019eE+-.ntf ', max_size=60).map(str.encode))
def test_arbitrary_bytes_are_read_or_refused(body: bytes) -> None:
    """DA1: no other exception escapes."""
    with suppress(MalformedRequest):
        parse(body)
