"""What billing is told at start: frozen, and read from the environment by the gateway alone."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StripeSettings:
    """How to reach Stripe, and what to believe of what it sends."""

    api_key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(repr=False)  # several while one is being rotated
    livemode: bool  # events of the other mode are never applied (SI2)
    api_base: str = "https://api.stripe.com"
    account: str | None = None  # acct_… of a connected account; None is our own
    deadline: float = 2.0  # seconds that one call may take
