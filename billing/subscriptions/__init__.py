"""Subscriptions of tenants, as last read from Stripe, and the plan that follows from them."""
