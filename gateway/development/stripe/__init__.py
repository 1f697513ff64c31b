"""A stateful stand-in for Stripe's API over HTTP on loopback, in Stripe's documented shapes.

The official SDK and ``curl`` work against it unchanged. It serves the shapes of one API version (``requests.py``) and
rejects unknown parameters, so that no test passes because a parameter was ignored. Deliberate differences from Stripe
are in the docstrings of the resources. Not implemented: checkout, portal, invoices, meters.
"""
