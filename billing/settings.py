"""Settings of billing: frozen. Only the gateway reads them from the environment."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StripeSettings:
    """How to reach Stripe, and which events to accept."""

    api_key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(repr=False)  # several during a rotation
    livemode: bool  # events of the other mode are ignored (SI2)
    api_base: str = "https://api.stripe.com"
    account: str | None = None  # acct_… of a connected account; None: our own account
    deadline: float = 2.0  # seconds for one call
