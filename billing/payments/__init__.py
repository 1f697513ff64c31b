"""The port to Stripe: what we ask of it, in our own words. The only importer of its SDK."""
