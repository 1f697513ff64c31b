"""Stripe's error object. Source: https://docs.stripe.com/api/errors and https://docs.stripe.com/error-codes."""

from typing import Any

from pydantic import ValidationError

_DOCS = "https://docs.stripe.com/error-codes/"


class StripeError(Exception):
    """An error response: HTTP status, error type, code, message and the invalid parameter."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        status: int = 400,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.message, self.code, self.param, self.status, self.kind = message, code, param, status, kind

    def body(self) -> dict[str, Any]:
        """The JSON body; optional members are omitted, as at Stripe."""
        error: dict[str, Any] = {"message": self.message, "type": self.kind}
        if self.code:
            error |= {"code": self.code, "doc_url": _DOCS + self.code.replace("_", "-")}
        if self.param:
            error["param"] = self.param
        return {"error": error}


def no_such(noun: str, object_id: str, param: str | None = None) -> StripeError:
    """404 for an id in the path; 400 for one in a parameter."""
    return StripeError(
        f"No such {noun}: '{object_id}'", code="resource_missing", param=param or "id", status=400 if param else 404
    )


def from_validation(problem: ValidationError) -> StripeError:
    """The first validation error, with Stripe's message."""
    first = problem.errors(include_url=False)[0]
    name = _bracketed(first["loc"])
    match first["type"]:
        case "extra_forbidden":
            return StripeError(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
        case "missing":
            return StripeError(f"Missing required param: {name}.", code="parameter_missing", param=name)
        case "literal_error":
            allowed = first["ctx"]["expected"].replace("'", "")
            return StripeError(f"Invalid {name}: must be one of {allowed}", param=name)
        case "model_type" | "model_attributes_type" | "dict_type":
            return StripeError("Invalid object", param=name)
        case kind if kind.startswith("parameter_"):
            return StripeError(first["msg"], code=kind, param=name)
        case _:
            return StripeError(f"Invalid {name}: {first['msg']}", param=name)


def _bracketed(location: tuple[int | str, ...]) -> str:
    # pydantic names the branch of a union in the location; only the parameters' own names and indexes belong there.
    names = [str(each) for each in location if isinstance(each, int) or each.isidentifier()]
    return names[0] + "".join(f"[{each}]" for each in names[1:]) if names else ""
