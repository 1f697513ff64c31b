"""The demo's settings, as a file that ``tenantry --env-file`` reads from any other shell."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic_settings import DotEnvSettingsSource

from gateway.development.data_folder import DataFolder
from gateway.development.demo_state import DemoState
from gateway.development.folders import write_secret
from gateway.development.options import PrepareInput
from gateway.development.processes import LOOPBACK
from gateway.settings import PREFIX, Settings
from tenants.database.cluster import ClusterUrls
from tenants.settings import SmtpTls

_MAIL_FROM = "Tenantry demo <no-reply@demo.example>"


def demo_environment(given: PrepareInput, state: DemoState, urls: ClusterUrls, first_plan: str) -> dict[str, str]:
    """Every setting that the demo decides, by the name of its variable. ``first_plan`` is that of new tenants."""
    values = {
        "mode": "development",
        "public_url": given.base_url,
        "workers": str(given.workers),
        "database_url": urls.gateway,
        "owner_database_url": urls.owner,
        "redis_url": given.redis_url,
        "key_peppers": f"1:{state.pepper}",
        "secret_key": state.secret_key,
        "signing_keys": state.signing_keys,
        "stripe_api_key": given.stripe_api_key,
        "stripe_webhook_secrets": state.stripe.webhook_secret,
        "stripe_api_base": given.stripe_url,
        "stripe_livemode": "false",
        **_mail(given, first_plan),
        "decision_networks": LOOPBACK,  # a local nginx, Caddy, Traefik or Envoy
        "outbound_networks": LOOPBACK,  # a local identity provider, such as one in a container
        "stop_notice_seconds": "0",  # there is no load balancer to wait for
        "usage_folder": str(DataFolder(given.folder).usage),
        "audit_checkpoints": str(DataFolder(given.folder).audit_checkpoints),
        "resources": given.resources,
    }
    return {f"{PREFIX}{name.upper()}": value for name, value in values.items() if value is not None}


def _mail(given: PrepareInput, first_plan: str) -> dict[str, str]:
    if given.smtp_port is None:
        return {}
    server = {"smtp_host": LOOPBACK, "smtp_port": str(given.smtp_port), "smtp_tls": SmtpTls.NONE.value}
    return {**server, "mail_from": _MAIL_FROM, "sign_up_plan": first_plan}


def write_environment(path: Path, values: Mapping[str, str]) -> None:
    """One ``NAME='value'`` a line: for ``--env-file``, and for a shell's ``set -a; . file``."""
    write_secret(path, "".join(f"{name}='{value}'\n" for name, value in values.items()))


def demo_settings(path: Path) -> Settings:
    """The settings in that file. They override the environment, which may name another deployment's database.

    What the file does not decide, such as ``TENANTRY_LOG_LEVEL``, comes from the environment.
    """
    return Settings(_env_file=path, **_given(path))


def _given(path: Path) -> dict[str, Any]:
    return dict(DotEnvSettingsSource(Settings, env_file=path)())
