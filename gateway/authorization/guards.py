"""The guard that every route declares in its terms: ``requires(...)``, ``requires_principal``, ``requires_person``,
``requires_operator``, ``requires_operator_read``, ``requires_verifier``, ``signed_or_operator`` or ``public``.
"""

import re

from gateway.request.route import PUBLIC, Audience, Guard
from tenants.principal import OperatorRole
from tenants.roles.permissions import Grade

_NAME = re.compile(r"[a-z][a-z0-9_]*:[a-z][a-z0-9_]*", re.ASCII)

requires_principal = Guard(Audience.TENANTS)  # any caller of a tenant, whatever its roles
requires_person = Guard(Audience.TENANTS, people_only=True)  # any person who is signed in, for what is their own
requires_operator = Guard(Audience.OPERATORS, operator_roles=frozenset({OperatorRole.ADMIN}))
requires_operator_read = Guard(Audience.OPERATORS, operator_roles=frozenset({OperatorRole.ADMIN, OperatorRole.SUPPORT}))
# Asks for decisions about others' credentials: the one thing that the role verifier may do.
requires_verifier = Guard(Audience.OPERATORS, operator_roles=frozenset({OperatorRole.ADMIN, OperatorRole.VERIFIER}))
# Open to everybody for what the endpoint verifies by a signature; with a credential, to these operators alone.
signed_or_operator = Guard(Audience.EVERYBODY, operator_roles=frozenset({OperatorRole.ADMIN}))
public = PUBLIC  # open to everybody on purpose


def requires(permission: str, *, grade: Grade | None = None, own: str | None = None, for_others: bool = False) -> Guard:
    """A tenant principal whose roles and scopes hold the permission, spelled ``<object>:<action>``.

    ``grade`` says which built-in roles hold a permission that the endpoint introduces; without it they are those that
    read data for GET, and those that write data for other methods. ``own`` is a parameter of the path: the person with
    this id needs no permission. With ``for_others`` only what concerns another principal needs it, and the endpoint
    calls ``check_permission``. Raises ValueError for another spelling.
    """
    if not _NAME.fullmatch(permission):
        raise ValueError(f"{permission!r} is not a permission; write <object>:<action>, such as contacts:read")
    return Guard(Audience.TENANTS, permission, grade, own=own, for_others=for_others)
