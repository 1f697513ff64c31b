"""PATCH operations on the document of a user (RFC 7644 section 3.5.2), with the forms that Okta and Entra send.

Neither sends the plain form alone: without a path, the names in the value object may be paths themselves; Entra removes
values by listing them.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tenants.scim.documents import READ_ONLY, Attribute
from tenants.scim.errors import InvalidPath, InvalidValue, NoTarget, ReadOnlyAttribute
from tenants.scim.paths import Literal, Path, parse_path
from tenants.scim.schemas import ScimOperation

Values = dict[str, Any]
Change = Callable[[str, Path, Any], None]  # op, target, value


def apply(operation: ScimOperation, change: Change) -> None:
    """Call ``change`` for the target of an operation, or for each one that its value names.

    Raises InvalidPath, NoTarget, InvalidValue and ReadOnlyAttribute. What a value names and cannot be changed is
    ignored, as in a whole document.
    """
    if operation.path is not None:
        path = parse_path(operation.path)
        if path.name in READ_ONLY:
            raise ReadOnlyAttribute
        change(operation.op, path, operation.value)
        return
    if operation.op == "remove":
        raise NoTarget
    if not isinstance(operation.value, dict):
        raise InvalidValue
    for name, value in operation.value.items():
        _apply_named(operation.op, name, value, change)


def _apply_named(op: str, name: str, value: Any, change: Change) -> None:
    try:
        path = parse_path(name)
        if path.name not in READ_ONLY:
            change(op, path, value)
    except InvalidPath:
        return


class Patcher:
    """Changes a document of ``schema``, whose attributes are ``attributes``, in place."""

    def __init__(self, document: Values, schema: str, attributes: Mapping[str, Attribute]) -> None:
        self._document = document
        self._schema = schema.lower()
        self._attributes = attributes

    def change(self, op: str, path: Path, value: Any) -> None:
        """Make one change. Raises InvalidPath, NoTarget and InvalidValue."""
        container, attribute = self._find(path)
        if path.where is not None:
            _change_selected(container, attribute, path, op, value)
        elif path.part is not None:
            if attribute.is_list or path.part not in attribute.parts:
                raise InvalidPath
            inner = container.setdefault(attribute.name, {})
            _set(inner, attribute.parts[path.part], "remove" if value is None else op, value)
        else:
            _set(container, attribute, "remove" if op == "replace" and value is None else op, value)

    def _find(self, path: Path) -> tuple[Values, Attribute]:
        """The object that the target is in, and its attribute. An extension is an object of its own."""
        names = self._attributes
        if path.schema in (None, self._schema):
            return self._document, _named(names, path.name)
        whole = f"{path.schema}:{path.name}"
        if whole in names:  # the extension itself
            return self._document, names[whole]
        extension = _named(names, path.schema or "")
        container: Values = self._document.setdefault(extension.name, {})
        return container, _named(extension.parts, path.name)


def _named(names: Mapping[str, Attribute], name: str) -> Attribute:
    if name not in names:
        raise InvalidPath
    return names[name]


def _set(container: Values, attribute: Attribute, op: str, value: Any) -> None:
    if op == "remove":
        _remove(container, attribute, value)
    elif attribute.is_list:
        added = [_canonical(attribute, each) for each in _listed(value)]
        kept = container.get(attribute.name, []) if op == "add" else []
        container[attribute.name] = [*kept, *(each for each in added if each not in kept)]
    elif attribute.parts:
        if not isinstance(value, dict):
            raise InvalidValue
        container[attribute.name] = container.get(attribute.name, {}) | _canonical(attribute, value)
    else:
        container[attribute.name] = value


def _remove(container: Values, attribute: Attribute, value: Any) -> None:
    if not attribute.is_list or value is None:
        container.pop(attribute.name, None)
        return
    removed = [_canonical(attribute, each).get("value") for each in _listed(value)]
    container[attribute.name] = [each for each in container.get(attribute.name, []) if each.get("value") not in removed]


def _change_selected(container: Values, attribute: Attribute, path: Path, op: str, value: Any) -> None:
    where, part = path.where, path.part
    if where is None or not attribute.is_list or not {where.part, part or where.part} <= attribute.parts.keys():
        raise InvalidPath
    items: list[Values] = container.setdefault(attribute.name, [])
    name = attribute.parts[where.part].name
    found = [each for each in items if _equal(each.get(name), where.value)]
    if op == "remove" or value is None:
        _remove_selected(items, found, attribute.parts[part].name if part else None)
        return
    if not found:
        if op == "replace" and items:
            raise NoTarget
        found = [{name: where.value}]
        items += found
    for each in found:
        each.update({attribute.parts[part].name: value} if part else _canonical(attribute, value))


def _remove_selected(items: list[Values], found: list[Values], part: str | None) -> None:
    if part is None:
        items[:] = [each for each in items if each not in found]
        return
    for each in found:
        each.pop(part, None)


def _canonical(attribute: Attribute, value: Any) -> Values:
    """The known parts of a complex value, by their own names. Raises InvalidValue."""
    if not isinstance(value, dict):
        raise InvalidValue
    return {attribute.parts[name.lower()].name: each for name, each in value.items() if name.lower() in attribute.parts}


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else [value]


def _equal(value: Any, wanted: Literal) -> bool:
    """RFC 7643 section 2.2: text is compared regardless of case unless an attribute says otherwise."""
    if isinstance(value, str) and isinstance(wanted, str):
        return value.lower() == wanted.lower()
    if isinstance(value, bool) and isinstance(wanted, str):
        return str(value).lower() == wanted.lower()
    return value is wanted
