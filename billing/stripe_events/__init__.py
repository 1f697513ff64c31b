"""The inbox of Stripe events: verify, store, respond, apply."""
