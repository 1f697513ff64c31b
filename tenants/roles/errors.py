"""Errors of roles."""

from tenants.errors import Conflict, Forbidden, not_unique


class RoleNameTaken(Conflict):
    message = "Another role of the tenant already uses this name. Names that differ only in case are equal."
    errors = not_unique("name")


class TooManyRoles(Conflict):
    message = "The tenant has the maximum number of roles. Delete one that is not used."


class RoleInUse(Conflict):
    message = "The role is still assigned to members or API keys, or inherited by other roles."


class BuiltInRoleFixed(Conflict):
    message = "Built-in roles cannot be changed or deleted. Create a role that inherits from it."


class ExceedsOwn(Forbidden):
    message = "You can grant only permissions that you have, and change only roles and members that have no others."
