"""What settings refuse, and that a refusal tells no secret."""

import base64

import pytest
from pydantic import ValidationError

from gateway.settings import Settings

_SECRET = base64.b64encode(b"hunter2 hunter2 hunter2 hunter2!").decode()


@pytest.mark.parametrize(
    "wrong",
    [
        {"database_url": "postgresql:hunter2@127.0.0.1"},
        {"secret_key": base64.b64encode(b"hunter2").decode()},
        {"key_peppers": f"one:{_SECRET}"},
        {"redis_url": "http://:hunter2@127.0.0.1"},
    ],
)
def test_a_refused_setting_is_named_and_its_value_is_not(wrong: dict[str, str]) -> None:
    """SE2: the start of a service is logged, and passwords stand in URLs."""
    given = {
        "database_url": "postgresql://a:hunter2@127.0.0.1/x",
        "key_peppers": f"1:{_SECRET}",
        "secret_key": _SECRET,
        "signing_keys": "{}",
    }
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate(given | wrong)
    assert "hunter2" not in str(refused.value)
    assert _SECRET not in str(refused.value)
