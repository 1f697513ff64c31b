"""What each tenant has bought, as Stripe last told it."""
