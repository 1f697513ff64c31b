"""What a tenant has bought: plans, subscriptions, Stripe events."""
