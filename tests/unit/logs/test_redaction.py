"""No secret in logs (SE2): every known format, in every place where it can occur."""

import io
import logging

import orjson
import pytest
import structlog

from gateway.logs.redaction import redact, redact_text
from gateway.logs.setup import configure_logging, current_request
from tests.asgi import http_scope, request_context

_RANDOM = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6"
_SECRETS = {
    "live key": f"tn_live_{_RANDOM}",
    "test key": f"tn_test_{_RANDOM}",
    "operator key": f"tn_op_{_RANDOM}",
    "refresh token": f"tn_rt_{_RANDOM}",
    "link": f"tn_link_{_RANDOM}",
    "token of a sign-in": f"tn_mfa_{_RANDOM}",
    "webhook secret": f"whsec_{_RANDOM}+/=",
    "Stripe key": f"sk_test_{_RANDOM}",
    "Stripe live key": f"sk_live_{_RANDOM}",
    "Stripe restricted key": f"rk_live_{_RANDOM}",
    "JWT": f"eyJhbGciOiJFZDI1NTE5In0.eyJzdWIiOiIx{_RANDOM}.{_RANDOM}_-",
    "bearer": f"Bearer {_RANDOM}",
    "basic": f"Basic {_RANDOM}==",
}
_TEXTS = {
    "database URL": f"postgresql://tenantry_gateway:{_RANDOM}@127.0.0.1:5432/tenantry",
    "URL without a user": f"redis://:{_RANDOM}@127.0.0.1/0",
    "password with an @": f"https://ada:x@{_RANDOM}@host.test/path",
    "connection string": f"host=127.0.0.1 password={_RANDOM} dbname=x",
    "quoted password": f'{{"email": "a@b.c", "password": "{_RANDOM} two words"}}',
    "Python's own": f"User(email='a@b.c', password='{_RANDOM}')",
    "header": f"authorization: Token {_RANDOM}",
    "environment": f"TENANTRY_SECRET_KEY={_RANDOM} TENANTRY_STRIPE_API_KEY={_RANDOM}",
    "query": f"/callback?access_token={_RANDOM}&state=1",
}
_EVERYWHERE = {**_SECRETS, **_TEXTS}


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> object:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield
    structlog.reset_defaults()
    root.handlers[:] = before[0]
    root.setLevel(before[1])


@pytest.mark.parametrize("text", _EVERYWHERE.values(), ids=_EVERYWHERE.keys())
def test_every_known_secret_format_is_redacted_in_text(text: str) -> None:
    """SE2."""
    for around in (text, f"it failed: {text} (see above)", f"'{text}'", f"a\n{text}\nb"):
        assert _RANDOM not in redact_text(around)


@pytest.mark.parametrize("name", ["password", "client_secret", "X-Api-Key", "refresh_token", "Authorization", "pepper"])
def test_a_field_with_a_secret_name_is_redacted_whatever_its_value(name: str) -> None:
    """SE2: at any depth."""
    assert "hunter2" not in repr(redact({"outer": [{name: "hunter2 and more"}, ({name: ["hunter2"]},)]}))


def test_other_text_is_unchanged() -> None:
    """Redaction must not remove what operators need."""
    for text in (
        "tnt_01h455vb4pex5vsknk084sn02q asked for /v1/contacts/{id}",
        "https://gateway.test/problems/not_found",
        "authorization_failed: permission=contacts:read",
        "3 tokens of 10 left in window burst",
    ):
        assert redact_text(text) == text
    assert redact({"tokens": 3, "api_key_id": "key_01h455vb4pex5vsknk084sn02q", "ok": True}) == {
        "tokens": 3,
        "api_key_id": "key_01h455vb4pex5vsknk084sn02q",
        "ok": True,
    }


def _fail(text: str) -> None:
    raise RuntimeError(text)


def _logged(*, readable: bool) -> str:
    stream = io.StringIO()
    configure_logging(level="INFO", readable=readable, stream=stream)
    ours, theirs = structlog.get_logger("ours"), logging.getLogger("some.library")
    for name, text in _EVERYWHERE.items():
        ours.info(text, kind=name, value=text, nested={"deep": [text]})
        theirs.warning("they log %s", text)
        try:
            _fail(text)
        except RuntimeError:
            ours.exception("ours_failed")
            theirs.exception("theirs failed")
    return stream.getvalue()


@pytest.mark.parametrize("readable", [False, True], ids=["production", "development"])
def test_no_secret_reaches_the_log_from_our_code_or_a_library(readable: bool) -> None:  # noqa: FBT001 - a parameter
    """SE2: in the event, in a field, nested, in a traceback; through structlog and through the standard library."""
    written = _logged(readable=readable)
    assert written.count("RuntimeError") >= 2 * len(_EVERYWHERE)
    assert _RANDOM not in written


def test_production_log_lines_are_json_objects() -> None:
    lines = [orjson.loads(line) for line in _logged(readable=False).splitlines()]
    assert len(lines) == 4 * len(_EVERYWHERE)
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)


def test_a_line_written_during_a_request_has_its_request_id() -> None:
    stream = io.StringIO()
    configure_logging(level="INFO", readable=False, stream=stream)
    token = current_request.set(request_context(http_scope()))
    structlog.get_logger().info("inside")
    current_request.reset(token)
    structlog.get_logger().info("outside")
    inside, outside = (orjson.loads(line) for line in stream.getvalue().splitlines())
    assert inside["request_id"] == "req_01h455vb4pex5vsknk084sn02q"
    assert "request_id" not in outside


def test_the_access_logger_writes_json_lines_and_respects_the_level() -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written)
    configure_logging(level="INFO", readable=False, stream=stream).info("request", status=200)
    configure_logging(level="WARNING", readable=False, stream=stream).info("request", status=200)
    (line,) = written.getvalue().splitlines()
    assert orjson.loads(line)["status"] == 200


def test_the_id_of_a_key_is_not_redacted() -> None:
    """SE2: the principal must be identifiable in the log."""
    line = {"api_key_id": "key_01h455vb4pex5vsknk084sn02q", "tenant_id": "tnt_01h455vb4pex5vsknk084sn02q"}
    assert redact(line) == line
