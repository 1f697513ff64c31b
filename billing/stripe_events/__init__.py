"""The inbox of Stripe's events: verify, store, answer, apply."""
