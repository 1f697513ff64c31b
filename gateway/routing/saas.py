"""The SaaS team's own routers (``ROUTERS`` beside ``RESOURCES``), and the permissions that they introduce."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from gateway.request.route import Guard
from gateway.routing.api_router import APIRouter
from gateway.routing.routes import api_routes
from tenants.resources.errors import DeclarationError
from tenants.resources.registry import Registry
from tenants.roles.permissions import MANAGEMENT, Grade, Permission, catalogue

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_RESERVED = frozenset(permission.object for permission in MANAGEMENT)


def routers_of(registry: Registry) -> tuple[APIRouter, ...]:
    """The team's routers. Raises DeclarationError for what is not a router with terms."""
    routers = tuple(each for each in registry.routers if isinstance(each, APIRouter))
    if len(routers) < len(registry.routers):
        raise DeclarationError("ROUTERS", "every router must be a tenantry.APIRouter, whose endpoints declare @terms")
    return routers


def permissions_of(registry: Registry) -> tuple[Permission, ...]:
    """Every permission of this deployment: of management, of the resources, and of the team's own endpoints."""
    own = permissions_of_routes(routers_of(registry), registry.names)
    return catalogue(registry.names, own)


def permissions_of_routes(routers: Sequence[APIRouter], resources: Sequence[str]) -> tuple[Permission, ...]:
    """The permissions that these routers introduce. Raises DeclarationError with all that is wrong with them.

    A permission that no resource and no part of management has is introduced by the endpoint that requires it. Its
    grade is the one that the endpoint gives, or follows from the method.
    """
    known = {permission.name: permission for permission in catalogue(resources)}
    given: defaultdict[str, set[Grade]] = defaultdict(set)
    implied: defaultdict[str, set[Grade]] = defaultdict(set)
    for name, guard, methods in _guards(routers):
        if guard.grade is not None:
            given[name].add(guard.grade)
        elif name not in known:
            implied[name].add(Grade.READ_DATA if methods <= _READS else Grade.WRITE_DATA)
    grades = {name: given[name] or implied[name] for name in sorted(given.keys() | implied.keys())}
    faults = [fault for name, found in grades.items() if (fault := _fault(name, found, known, given, resources))]
    if faults:
        raise DeclarationError("ROUTERS", *faults)
    return tuple(_permission(name, *found) for name, found in grades.items() if name not in known)


def _permission(name: str, grade: Grade) -> Permission:
    subject, _, action = name.partition(":")
    return Permission(subject, action, grade)


def _guards(routers: Sequence[APIRouter]) -> Iterator[tuple[str, Guard, set[str]]]:
    """Name, guard and methods wherever a permission is required."""
    for router in routers:
        for _, route in api_routes(router.routes):
            guard = route.terms.guard
            if guard.permission is not None:
                yield guard.permission, guard, set(route.methods or ())


def _fault(
    name: str,
    found: set[Grade],
    known: dict[str, Permission],
    given: defaultdict[str, set[Grade]],
    resources: Sequence[str],
) -> str | None:
    """What is wrong with a permission that endpoints introduce or give a grade to, if anything is."""
    subject = name.partition(":")[0]
    if name in known:
        grade = known[name].grade
        return None if found == {grade} else f"permission {name} exists with the grade {grade}; leave its grade out"
    if subject in _RESERVED:
        return f"permission {name} is new, and {subject} belongs to Tenantry's own management; choose another object"
    if subject not in resources and not given[name]:
        return f"permission {name} is of no resource; correct it, or introduce it with requires({name!r}, grade=...)"
    if len(found) > 1:
        return f"permission {name} has several grades ({', '.join(sorted(found))}); give all of its endpoints the same"
    return None
