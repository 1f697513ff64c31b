"""The permissions that routes require and introduce.

A route may require a permission of a resource or of the team's own endpoints. Any other is introduced by the routes
that require it: it exists from the version that has it to the one that has not.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from tenants.errors import FieldError
from tenants.roles.permissions import MANAGEMENT, Grade, Permission
from tenants.routes.schemas import Access, Configuration, Method, RouteSpec

_ALL = tuple(Method)
_RESERVED = frozenset(each.object for each in MANAGEMENT)
MOST_INTRODUCED = 500  # the permissions of a principal are listed in 30 ms then, each of them decided by itself (LD1)
_NARROWEST = (Grade.OWN, Grade.MANAGE, Grade.WRITE_DATA, Grade.READ_DATA)


class _Use(NamedTuple):
    """One permission of one route."""

    pointer: str  # into the configuration
    name: str
    grade: Grade | None  # as the route gives it
    implied: Grade  # by the methods that need it


def permission_for(spec: RouteSpec, method: Method) -> str | None:
    """What a request with this method must hold. None with access ``permission``: the route does not serve it."""
    return spec.permissions.get(method) or spec.permission


def introduced(configuration: Configuration, fixed: Collection[Permission]) -> tuple[Permission, ...]:
    """The permissions that these routes add to ``fixed``, sorted by name.

    Raises nothing: a version that was stored before ``fixed`` grew must still load. Of several grades the narrowest
    counts, and management is never added to.
    """
    known = {each.name for each in fixed}
    found = {}
    for name, uses in _by_name(configuration).items():
        subject, _, action = name.partition(":")
        if name not in known and subject not in _RESERVED:
            grades = {use.grade for use in uses if use.grade} or {use.implied for use in uses}
            found[name] = Permission(subject, action, next(each for each in _NARROWEST if each in grades))
    return tuple(found[name] for name in sorted(found))


def permission_faults(configuration: Configuration, fixed: Collection[Permission]) -> Iterator[FieldError]:
    """What is wrong with the permissions of these routes, given those of this deployment."""
    known = {each.name: each for each in fixed}
    objects = {each.object for each in fixed}
    for number, route in enumerate(configuration.routes):
        yield from _missing(f"/routes/{number}", route)
    for name, uses in _by_name(configuration).items():
        if (permission := known.get(name)) is not None:
            yield from _faults_of_known(permission, uses)
        else:
            yield from _faults_of_new(name, uses, objects)
    new = len(introduced(configuration, fixed))
    if new > MOST_INTRODUCED:
        message = f"The routes introduce {new} permissions, and {MOST_INTRODUCED} are the most. Let routes share some."
        yield FieldError("/routes", "too_long", message)


def _missing(pointer: str, route: RouteSpec) -> Iterator[FieldError]:
    named = bool(route.permission or route.permissions)
    if route.access is not Access.PERMISSION:
        if named:
            message = f"A route with the access {route.access} requires no permission. Leave it out."
            yield FieldError(f"{pointer}/access", "not_allowed", message)
        return
    left = [each.value for each in route.methods or Method if permission_for(route, each) is None]
    if left:
        message = f"Required: a permission for {', '.join(left)}, or another access."
        yield FieldError(f"{pointer}/permission", "missing", message)


def _faults_of_known(permission: Permission, uses: list[_Use]) -> Iterator[FieldError]:
    for use in uses:
        if permission.object in _RESERVED:
            message = "The permission is of Tenantry's own management. Choose another one."
            yield FieldError(use.pointer, "not_allowed", message)
        elif use.grade not in {None, permission.grade}:
            message = f"The permission exists with the grade {permission.grade}. Leave the grade out."
            yield FieldError(use.pointer, "not_allowed", message)


def _faults_of_new(name: str, uses: list[_Use], objects: set[str]) -> Iterator[FieldError]:
    subject = name.partition(":")[0]
    given = {use.grade for use in uses if use.grade}
    grades = given or {use.implied for use in uses}
    for use in uses:
        if subject in _RESERVED:
            message = f"There is no such permission, and {subject} is of Tenantry's own management."
            yield FieldError(use.pointer, "unknown_permission", message)
        elif subject in objects and not given:
            message = f"There is no such permission of {subject}. Correct it, or give a grade to introduce it."
            yield FieldError(use.pointer, "unknown_permission", message)
        elif len(grades) > 1:
            message = f"The permission has several grades ({', '.join(sorted(grades))}). Give its routes the same one."
            yield FieldError(use.pointer, "not_allowed", message)


def _by_name(configuration: Configuration) -> Mapping[str, list[_Use]]:
    found: defaultdict[str, list[_Use]] = defaultdict(list)
    for number, route in enumerate(configuration.routes):
        for use in _uses(f"/routes/{number}", route):
            found[use.name].append(use)
    return found


def _uses(pointer: str, route: RouteSpec) -> Iterator[_Use]:
    if route.access is not Access.PERMISSION:
        return
    served = route.methods or _ALL
    if not route.permissions:
        if route.permission is not None:
            yield _Use(f"{pointer}/permission", route.permission, route.grade, _implied_by(served))
        return
    methods: defaultdict[str, list[Method]] = defaultdict(list)
    for method in served:
        if (name := permission_for(route, method)) is not None:
            methods[name].append(method)
    for name, found in methods.items():
        at = "permission" if name == route.permission else "permissions"
        yield _Use(f"{pointer}/{at}", name, route.grade, _implied_by(found))


def _implied_by(methods: Iterable[Method]) -> Grade:
    return (
        Grade.READ_DATA if all(each is Method.GET or each is Method.OPTIONS for each in methods) else Grade.WRITE_DATA
    )
