"""A stateful stand-in for Stripe's API over HTTP on loopback, in Stripe's documented shapes.

The official SDK and ``curl`` work against it unchanged. It serves one API version's shapes (``version.py``) and refuses
what it does not know, so that a test never passes on a parameter that was silently dropped. Where it departs from
Stripe on purpose, the resource's own docstring says so. Not built yet: checkout, portal, invoices, meters.
"""
