"""Errors of links."""

from tenants.credentials import CredentialInvalid


class LinkInvalid(CredentialInvalid):
    """One error for a link that was used, replaced, has expired, is of another purpose or never existed (ID12)."""

    message = "The link is invalid: it was used, replaced, or has expired. Ask for a new one."
