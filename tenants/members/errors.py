"""Errors of members."""

from tenants.errors import Conflict, NotFound


class LastOwner(Conflict):
    message = "The tenant needs an owner who is not disabled. Make another member an owner first."


class NoSuchPerson(NotFound):
    message = "No account has this e-mail address. Invite the person with `tenantry members invite`."


class PersonDisabled(Conflict):
    message = "This person is disabled, in the tenant or everywhere. Enable the person first."


class NoSuchMember(NotFound):
    message = "The tenant has no member of this id or e-mail address."
