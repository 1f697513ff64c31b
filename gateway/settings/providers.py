"""Settings of services outside the deployment: Stripe, a mail server, and those who report leaked keys."""

from email.utils import parseaddr
from functools import cached_property
from ipaddress import ip_address
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from billing.settings import StripeSettings
from gateway.settings.values import HttpUrl, Networks, by_commas, separated
from tenants.leaked_keys.signature import ReportKeys
from tenants.settings import MailSettings, SmtpTls
from tenants.sso.domains import read_server


def _holds_one(value: SecretStr | None) -> SecretStr | None:
    if value is not None and not by_commas(value.get_secret_value()):
        raise ValueError("holds no secret")
    return value


def _sender(value: str | None) -> str | None:
    if value is not None:
        name, _, domain = parseaddr(value)[1].rpartition("@")
        if not (name and domain) or not value.isprintable():
            raise ValueError("must be an address, such as Acme <no-reply@acme.example>")
    return value


def _servers(value: list[str]) -> list[str]:
    try:
        _ = [read_server(each) for each in value]
    except ValueError as error:
        raise ValueError("must be addresses of name servers, with a port or without, separated by commas") from error
    return value


def _report_keys(value: str | None) -> str | None:
    if value is not None:
        _ = ReportKeys.load(value)
    return value


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class StripeGroup(BaseModel):
    """Billing."""

    stripe_api_key: Annotated[
        SecretStr | None, Field(description="Stripe's secret key; billing is off without it.")
    ] = None
    stripe_webhook_secrets: Annotated[
        SecretStr | None,
        AfterValidator(_holds_one),
        Field(description="Signing secrets of the webhook endpoint, separated by commas; several while rotating."),
    ] = None
    stripe_api_base: Annotated[HttpUrl, Field(description="Base URL of Stripe's API; another one for a stand-in.")] = (
        "https://api.stripe.com"
    )
    stripe_livemode: Annotated[
        bool, Field(description="Whether events are of live mode; those of the other mode are ignored.")
    ] = True

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """Secrets of the Stripe webhook endpoint; several while one is being rotated.

        An empty part is dropped: anyone could sign events with an empty secret.
        """
        given = self.stripe_webhook_secrets
        return tuple(by_commas(given.get_secret_value())) if given else ()

    @property
    def stripe(self) -> StripeSettings | None:
        """What billing needs; None when billing is off."""
        if self.stripe_api_key is None:
            return None
        return StripeSettings(
            api_key=self.stripe_api_key.get_secret_value(),
            webhook_secrets=self.webhook_secrets,
            livemode=self.stripe_livemode,
            api_base=self.stripe_api_base,
        )


class MailGroup(BaseModel):
    """Mail."""

    smtp_host: Annotated[str | None, Field(description="Host name of the mail server; mail is off without it.")] = None
    smtp_port: Annotated[int, Field(ge=1, le=65_535, description="Port of the mail server.")] = 587
    smtp_tls: Annotated[
        SmtpTls, Field(description="`starttls`, `implicit` (usually port 465) or `none`; certificates are verified.")
    ] = SmtpTls.STARTTLS
    smtp_username: Annotated[str | None, Field(description="User name at the mail server.")] = None
    smtp_password: Annotated[SecretStr | None, Field(description="Password at the mail server.")] = None
    smtp_timeout_seconds: Annotated[
        float, Field(ge=1, le=120, description="Seconds for sending one message, connecting included.")
    ] = 10.0
    mail_from: Annotated[
        str | None,
        AfterValidator(_sender),
        Field(description="Sender of all mail, such as `Acme <no-reply@acme.example>`."),
    ] = None
    link_url: Annotated[
        HttpUrl | None,
        Field(
            description="URL below which the pages are that links in mail open, such as `/invitation`; by default"
            " `/console` of the public URL."
        ),
    ] = None

    @model_validator(mode="after")
    def _mail_is_complete(self) -> Self:
        if self.smtp_host is None:
            return self
        if self.mail_from is None:
            raise ValueError("TENANTRY_MAIL_FROM is missing while TENANTRY_SMTP_HOST is set")
        if (self.smtp_username is None) != (self.smtp_password is None):
            raise ValueError("TENANTRY_SMTP_USERNAME and TENANTRY_SMTP_PASSWORD must be set together")
        if self.smtp_password and self.smtp_tls is SmtpTls.NONE and not _is_loopback(self.smtp_host):
            raise ValueError("TENANTRY_SMTP_TLS is none: TENANTRY_SMTP_PASSWORD would be sent in clear text")
        return self

    @property
    def mail(self) -> MailSettings | None:
        """What ``tenants/mail`` needs; None when mail is off."""
        if self.smtp_host is None or self.mail_from is None:
            return None
        return MailSettings(
            host=self.smtp_host,
            sender=self.mail_from,
            port=self.smtp_port,
            tls=self.smtp_tls,
            username=self.smtp_username,
            password=self.smtp_password.get_secret_value() if self.smtp_password else None,
            deadline=self.smtp_timeout_seconds,
        )


class ReportGroup(BaseModel):
    """Reports of API keys that were found in public."""

    leak_keys: Annotated[
        str | None,
        AfterValidator(_report_keys),
        Field(
            description="JSON with the public keys that sign reports of leaked keys, as"
            " https://api.github.com/meta/public_keys/secret_scanning returns it; only operators can report without it."
        ),
    ] = None

    @cached_property
    def report_keys(self) -> ReportKeys | None:
        """The keys that verify reports; None when only operators can report."""
        return None if self.leak_keys is None else ReportKeys.load(self.leak_keys)


class OutboundGroup(BaseModel):
    """Requests to what tenants name: URLs of their identity providers, and records of their domains."""

    outbound_networks: Annotated[
        Networks,
        Field(description="Networks that tenants' URLs may reach though they are not public, separated by commas."),
    ] = []
    dns_servers: Annotated[
        list[str],
        NoDecode,
        BeforeValidator(separated),
        AfterValidator(_servers),
        Field(description="Name servers that are asked for tenants' domains; by default those of the system."),
    ] = []
