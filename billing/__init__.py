"""Plans, subscriptions, Stripe events and usage."""
