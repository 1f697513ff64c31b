"""Settings of services outside the deployment: Stripe."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from billing.settings import StripeSettings
from gateway.settings.values import HttpUrl, by_commas


def _holds_one(value: SecretStr | None) -> SecretStr | None:
    if value is not None and not by_commas(value.get_secret_value()):
        raise ValueError("holds no secret")
    return value


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
