"""All settings as one frozen object. A part of the gateway that needs one group takes that group's type."""

from datetime import timedelta
from typing import Self, get_args

from pydantic import SecretStr, model_validator

from gateway.settings.credentials import CredentialGroup
from gateway.settings.deployment import HttpGroup, ObservabilityGroup, ProxyGroup
from gateway.settings.passkeys import PasskeyGroup, check_origins, domain_of, passkey_origins
from gateway.settings.providers import MailGroup, OutboundGroup, ReportGroup, StripeGroup
from gateway.settings.reading import EnvironmentSettings
from gateway.settings.stores import AuditGroup, DatabaseGroup, ThrottleGroup, UsageGroup
from gateway.settings.values import Mode
from tenants.mfa.feature import SignInSettings
from tenants.mfa.passkeys import RelyingParty
from tenants.sso.feature import SsoSettings


class Settings(
    # `tenantry config` lists the groups from the last to the first: pydantic collects fields in that order.
    ObservabilityGroup,
    AuditGroup,
    UsageGroup,
    OutboundGroup,
    ReportGroup,
    MailGroup,
    StripeGroup,
    PasskeyGroup,
    CredentialGroup,
    ThrottleGroup,
    DatabaseGroup,
    ProxyGroup,
    HttpGroup,
    EnvironmentSettings,
):
    """Every setting of the gateway and the worker. ``tenantry config`` lists them with their sources."""

    @property
    def link_pages(self) -> str:
        """The URL below which the pages are that links in mail open, without a slash at its end."""
        return (self.link_url or f"{self.public_url.rstrip('/')}/console").rstrip("/")

    @property
    def relying_party(self) -> RelyingParty:
        """The site that passkeys belong to."""
        domain = self.passkey_domain or domain_of(self.public_url)
        name = domain if self.mail is None else self.mail.product
        return RelyingParty(domain, name, passkey_origins(self.public_url, self.passkey_origins))

    @property
    def sign_in(self) -> SignInSettings:
        """What sign-in needs."""
        life = timedelta(days=self.refresh_token_days)
        return SignInSettings(self.secret, self.sealing_keys, life, self.relying_party)

    @property
    def sso(self) -> SsoSettings:
        """What single sign-on needs."""
        return SsoSettings(
            secret=self.secret,
            sealing_keys=self.sealing_keys,
            public_url=self.public_url,
            allowed_origins=self.cors_origins,
            dns_servers=self.dns_servers,
            allow_loopback_http=self.mode is Mode.DEVELOPMENT,
        )

    @model_validator(mode="after")
    def _passkeys_can_be_used(self) -> Self:
        check_origins(self.passkey_domain or domain_of(self.public_url), tuple(self.passkey_origins))
        return self

    @model_validator(mode="after")
    def _sign_up_is_complete(self) -> Self:
        if self.sign_up_plan is not None and self.smtp_host is None:
            raise ValueError("TENANTRY_SMTP_HOST is missing while TENANTRY_SIGN_UP_PLAN is set: sign-up sends mail")
        return self

    @model_validator(mode="after")
    def _billing_is_complete(self) -> Self:
        if self.mode is Mode.PRODUCTION and self.stripe_api_key and not self.stripe_webhook_secrets:
            raise ValueError("TENANTRY_STRIPE_WEBHOOK_SECRETS is missing while TENANTRY_STRIPE_API_KEY is set")
        return self


SECRET_FIELDS = frozenset(
    name
    for name, field in Settings.model_fields.items()
    if SecretStr in {field.annotation, *get_args(field.annotation)}
)
