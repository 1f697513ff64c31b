"""The port to Stripe and its implementation, the only importer of Stripe's SDK."""
