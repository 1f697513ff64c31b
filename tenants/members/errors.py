"""Errors of members."""

from tenants.errors import Conflict, NotFound


class LastOwner(Conflict):
    message = "The tenant needs an owner who is not disabled. Make another member an owner first."


class NoSuchMember(NotFound):
    message = "The tenant has no member of this id or e-mail address."
