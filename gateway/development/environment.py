"""The settings of the demo, as the file that ``tenantry --env-file`` reads from any other shell."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic_settings import DotEnvSettingsSource

from gateway.development.data_folder import DataFolder
from gateway.development.folders import write_secret
from gateway.development.handover import Handover
from gateway.development.processes import LOOPBACK
from gateway.development.saved import Saved
from gateway.settings import PREFIX, Settings
from tenants.database.cluster import ClusterUrls
from tenants.settings import SmtpTls

DEMO_RESOURCES = "examples.crm.resources"
_MAIL_FROM = "Tenantry demo <no-reply@demo.example>"
_USERS_CHOICE = "resources"  # a default of ours; the user's own environment goes before it


def demo_environment(handover: Handover, saved: Saved, urls: ClusterUrls) -> dict[str, str]:
    """Every setting that the demo decides, by its variable's name."""
    values = {
        "mode": "development",
        "public_url": handover.base_url,
        "workers": str(handover.workers),
        "database_url": urls.gateway,
        "owner_database_url": urls.owner,
        "redis_url": handover.redis_url,
        "key_peppers": f"1:{saved.pepper}",
        "secret_key": saved.secret_key,
        "signing_keys": saved.signing_keys,
        "stripe_api_key": handover.stripe_api_key,
        "stripe_webhook_secrets": saved.stripe.webhook_secret,
        "stripe_api_base": handover.stripe_url,
        "stripe_livemode": "false",
        **_mail(handover),
        "stop_notice_seconds": "0",  # nobody balances load before it
        "usage_folder": str(DataFolder(handover.folder).usage),
        "resources": DEMO_RESOURCES,
    }
    return {f"{PREFIX}{name.upper()}": value for name, value in values.items() if value is not None}


def _mail(handover: Handover) -> dict[str, str]:
    if handover.smtp_port is None:
        return {}
    server = {"smtp_host": LOOPBACK, "smtp_port": str(handover.smtp_port), "smtp_tls": SmtpTls.NONE.value}
    return {**server, "mail_from": _MAIL_FROM}


def write_environment(path: Path, values: Mapping[str, str]) -> None:
    """One ``NAME='value'`` a line: for ``--env-file``, and for a shell's ``set -a; . file``."""
    write_secret(path, "".join(f"{name}='{value}'\n" for name, value in values.items()))


def demo_settings(path: Path) -> Settings:
    """The settings in that file, which go before the environment: it may name another deployment's database.

    What the file does not decide, such as ``TENANTRY_LOG_LEVEL`` and ``TENANTRY_RESOURCES``, is the environment's.
    """
    decided = {name: value for name, value in _given(path).items() if name != _USERS_CHOICE}
    return Settings(_env_file=path, **decided)


def _given(path: Path) -> dict[str, Any]:
    return dict(DotEnvSettingsSource(Settings, env_file=path)())
