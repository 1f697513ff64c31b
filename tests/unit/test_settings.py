"""What settings refuse, that a refusal names the setting, and that it shows no secret."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from pydantic import ValidationError

from gateway.settings import SECRET_FIELDS, Mode, Settings
from tenants.sign_in.signing_keys import generate_signing_keys
from tests.fixtures.leaked_keys import published

_P256 = ec.generate_private_key(ec.SECP256R1())
_REPEATED = published({"hunter2": _P256, "other": _P256}).replace("other", "hunter2")
_SECRET = base64.b64encode(b"hunter2 hunter2 hunter2 hunter2!").decode()
_SIGNING_KEYS = generate_signing_keys("test")
_GIVEN: dict[str, Any] = {
    "database_url": "postgresql://a:hunter2@127.0.0.1/x",
    "key_peppers": f"1:{_SECRET}",
    "secret_key": _SECRET,
    "signing_keys": _SIGNING_KEYS,
}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No ``.env`` of this folder."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("database_url", "postgresql:hunter2@127.0.0.1"),
        ("secret_key", base64.b64encode(b"hunter2").decode()),
        ("secret_key", "hunter2!"),
        ("key_peppers", f"one:{_SECRET}"),
        ("key_peppers", "1:hunter2"),
        ("key_peppers", f"1:{_SECRET},1:{_SECRET}"),
        ("signing_keys", "hunter2"),
        ("signing_keys", json.dumps({"keys": []})),
        ("signing_keys", json.dumps({"keys": [{"kid": "a", "kty": "oct", "k": "hunter2"}]})),
        ("signing_keys", _SIGNING_KEYS.replace('"use"', '"key_ops": 5, "use"')),
        ("signing_keys", _SIGNING_KEYS.replace('"use"', '"key_ops": ["hunter2"], "use"')),
        ("leak_keys", "hunter2"),
        ("leak_keys", '{"public_keys": [], "hunter2": 1}'),
        ("leak_keys", '{"public_keys": [{"key_identifier": "a", "key": "hunter2"}]}'),
        ("leak_keys", published({"hunter2": ec.generate_private_key(ec.SECP384R1())})),
        ("leak_keys", published({"hunter2": ec.generate_private_key(ec.SECP256K1())})),
        ("leak_keys", published({"hunter2": ed25519.Ed25519PrivateKey.generate()})),
        ("leak_keys", _REPEATED),
        ("redis_url", "http://:hunter2@127.0.0.1"),
        ("public_url", "hunter2"),
        ("public_url", "ftp://hunter2"),
        ("hosts", "api.example.com,https://hunter2"),
        ("hosts", "api.example.com:8000,hunter2"),
        ("hosts", "*.hunter2"),
        ("cors_origins", "https://app.example.com,https://hunter2/"),
        ("cors_origins", "https://*.hunter2"),
        ("cors_origins", "http://hunter2"),
        ("trusted_proxies", "10.0.0.0/8,hunter2"),
        ("trusted_proxies", "10.0.0.1/8"),
        ("trusted_proxies", "fe80::1%hunter2"),
        ("trusted_proxies", "::ffff:10.0.0.1/104"),
        ("metrics_networks", "hunter2"),
        ("metrics_networks", "::1,fe80::%hunter2/64"),
        ("security_contact", "hunter2@example.com"),
        ("security_contact", "mailto:hunter2@example.com\nExpires: never"),
        ("stripe_api_base", "hunter2"),
        ("link_url", "hunter2"),
        ("passkey_domain", "https://hunter2.example"),
        ("passkey_origins", "https://app.example.com,hunter2"),
        ("passkey_origins", "https://hunter2.example/page"),
        ("stripe_webhook_secrets", " , "),
        ("outbound_networks", "hunter2"),
        ("dns_servers", "hunter2"),
        ("dns_servers", "10.0.0.1:99999"),
        ("mail_from", "hunter2"),
        ("mail_from", "Acme <no-reply@acme.example>\nBcc: hunter2@example.com"),
    ],
)
def test_a_refused_setting_is_named_and_its_value_is_not(name: str, wrong: str) -> None:
    """SE2: start-up errors are logged, and URLs hold passwords."""
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate(_GIVEN | {name: wrong})
    assert [each["loc"] for each in refused.value.errors()] == [(name,)]
    assert "hunter2" not in str(refused.value)
    assert _SECRET not in str(refused.value)


@pytest.mark.parametrize("name", _GIVEN)
def test_an_empty_setting_is_a_missing_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")
    for each, value in _GIVEN.items():
        monkeypatch.setenv(f"TENANTRY_{each.upper()}", value)
    for spelled, value in (("", ""), ("_FILE", str(empty))):
        monkeypatch.delenv(f"TENANTRY_{name.upper()}", raising=False)
        monkeypatch.setenv(f"TENANTRY_{name.upper()}{spelled}", value)
        with pytest.raises(ValidationError) as refused:
            Settings()
        assert [(each["loc"], each["type"]) for each in refused.value.errors()] == [((name,), "missing")]


def test_an_empty_part_of_a_list_is_no_secret_and_no_host() -> None:
    """SI1: under an empty secret everybody could sign events."""
    lists = {"stripe_webhook_secrets": "whsec_old, whsec_new,", "hosts": "api.example.com,", "trusted_proxies": ", ::1"}
    settings = Settings.model_validate(_GIVEN | lists)
    assert settings.webhook_secrets == ("whsec_old", "whsec_new")
    assert (settings.hosts, settings.trusted_proxies) == (["api.example.com"], ["::1"])


def test_an_empty_stripe_key_leaves_billing_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENANTRY_STRIPE_API_KEY", "")
    assert Settings(**_GIVEN, mode=Mode.PRODUCTION).stripe is None


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_told_under_the_name_of_its_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "secret_key"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("TENANTRY_SECRET_KEY_FILE", str(file))
    with pytest.raises(ValidationError) as refused:
        Settings(**{name: value for name, value in _GIVEN.items() if name != "secret_key"})
    [fault] = refused.value.errors()
    assert fault["loc"] == ("secret_key",)
    assert f"{file} cannot be read" in fault["msg"]


def test_every_setting_has_a_description_and_a_group() -> None:
    """`tenantry config` and the documentation explain each of them; none is declared outside a group."""
    groups = [each for each in Settings.__mro__ if each.__name__.endswith("Group")]
    grouped = [name for group in groups for name in group.__annotations__]
    assert sorted(grouped) == sorted(Settings.model_fields)
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_a_secret_is_known_by_its_type() -> None:
    """SE2: `tenantry config` hides every setting that is declared as a secret, without a list to keep."""
    secrets = {name for name in Settings.model_fields if re.search("secret|pepper|signing|api_key|password", name)}
    assert secrets == SECRET_FIELDS


_MAIL = {"smtp_host": "mail.example", "mail_from": "Acme <no-reply@acme.example>"}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"mail_from": None}, "TENANTRY_MAIL_FROM"),
        ({"smtp_username": "acme"}, "TENANTRY_SMTP_PASSWORD"),
        ({"smtp_password": "hunter2"}, "TENANTRY_SMTP_USERNAME"),
        ({"smtp_username": "acme", "smtp_password": "hunter2", "smtp_tls": "none"}, "clear text"),
        ({"smtp_host": None, "sign_up_plan": "free"}, "TENANTRY_SIGN_UP_PLAN"),
    ],
)
def test_incomplete_mail_settings_are_refused_by_name(changes: dict[str, Any], named: str) -> None:
    """SE2: neither a half configured mail server nor a password in clear text."""
    with pytest.raises(ValidationError, match=named) as refused:
        Settings.model_validate(_GIVEN | _MAIL | changes)
    assert "hunter2" not in str(refused.value)


def test_mail_is_off_without_a_server_and_on_with_one() -> None:
    assert Settings.model_validate(_GIVEN | {"mail_from": "a@acme.example"}).mail is None
    login = {"smtp_username": "acme", "smtp_password": "hunter2"}
    mail = Settings.model_validate(_GIVEN | _MAIL | login).mail
    assert mail is not None
    assert (mail.host, mail.address, mail.password) == ("mail.example", "no-reply@acme.example", "hunter2")
    assert mail.product == "Acme"
    local = login | {"smtp_host": "127.0.0.1", "smtp_tls": "none"}
    assert Settings.model_validate(_GIVEN | _MAIL | local).mail is not None


def test_one_principal_cannot_be_given_more_management_than_its_tenant() -> None:
    """TH10: at the bound it may have all of it."""
    given = _GIVEN | {"management_requests": 5}
    throttle = Settings(_env_file=None, **given, principal_management_requests=5).throttle
    assert (throttle.management_quota, throttle.principal_quota) == (5, 5)
    with pytest.raises(ValidationError, match="TENANTRY_PRINCIPAL_MANAGEMENT_REQUESTS"):
        Settings(_env_file=None, **given, principal_management_requests=6)


def test_passkeys_belong_to_the_domain_of_the_pages_that_use_them() -> None:
    """ID13: by default the public URL's; an address is no domain, so that `tenantry dev` has localhost."""
    api = Settings.model_validate(_GIVEN | {"public_url": "https://API.example.com:443/gateway"}).relying_party
    assert (api.id, api.origins) == ("api.example.com", ("https://api.example.com",))
    local = Settings.model_validate(_GIVEN | {"public_url": "http://127.0.0.1:8000"}).relying_party
    assert (local.id, local.origins) == ("localhost", ("http://127.0.0.1:8000", "http://localhost:8000"))
    pages = {"public_url": "https://api.example.com", "passkey_origins": "https://app.example.com, http://localhost"}
    for domain in ("app.example.com", "example.org"):
        with pytest.raises(ValidationError, match="TENANTRY_PASSKEY_ORIGINS must be on TENANTRY_PASSKEY_DOMAIN"):
            Settings.model_validate(_GIVEN | pages | {"passkey_domain": domain})
    pages["passkey_origins"] = "https://app.example.com:8443/"
    named = Settings.model_validate(_GIVEN | pages | {"passkey_domain": "Example.com"}).relying_party
    assert (named.id, named.origins) == ("example.com", ("https://api.example.com", "https://app.example.com:8443"))
