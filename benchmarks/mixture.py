"""Requests of all kinds, in random order, that are the same in every run: what a worker may meet in a long life.

Reads, lists of ever new shapes, writes of ever new sets of fields, management, sign-in, access tokens, operators, and
what is refused: unknown keys, unknown paths, invalid input. ``rude`` clients leave before the answer.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

import orjson

from benchmarks.deployment import PLAN, Deployment
from benchmarks.population import new_access_token, new_secrets, open_control
from gateway.development.load import request_bytes
from tenants.crud.filters import Operator, operators_of
from tenants.crud.query import MAX_FILTERS
from tenants.resources.fields import Field, FieldKind
from tenants.resources.registry import load_registry

_CONTACTS = load_registry("examples.crm.resources")["contacts"]
_TERMS = [(each, operator) for each in _CONTACTS.filterable.values() for operator in operators_of(each.kind)]
_VALUES = {
    FieldKind.INTEGER: "5",
    FieldKind.DATETIME: "2026-01-01T00:00:00Z",
    FieldKind.CHOICE: "lead",
    FieldKind.ID: "contact_01h455vb4pex5vsknk084sn02q",
}
_FIELDS: dict[str, object] = {
    "name": "Ada Lovelace",
    "email": "ada@example.com",
    "company": "Analytical Engines",
    "stage": "lead",
    "value_cents": 5,
    "notes": "First programmer.",
}
_BIG = 100 * 1024  # bytes of one field, more than it takes
_HUGE = 4 * 2**20  # bytes of a body that a rude client begins to send
_KEYS, _TENANTS = 200, 20

Kind = Callable[["Mixture"], bytes]


def shape(choice: random.Random, terms: int = MAX_FILTERS) -> str:
    """The query of a list with this many filters, in a combination that hardly occurs a second time."""
    filters = "&".join(_term(*each) for each in choice.sample(_TERMS, terms))
    return f"{filters}&sort={choice.choice(('', '-'))}{choice.choice(list(_CONTACTS.sortable))}"


def _term(of: Field, operator: Operator) -> str:
    name = of.name if operator is Operator.EQ else f"{of.name}[{operator}]"
    value = "false" if operator is Operator.IS_NULL else _VALUES.get(of.kind, "a")
    return f"{name}={quote(value)}"


@dataclass(slots=True)
class Mixture:
    """The requests to one gateway. ``headers`` have a tenant's admin key; ``keys`` are of other tenants."""

    url: str
    headers: dict[str, str]
    keys: Sequence[str]
    token: str
    contact: str  # id of an existing contact
    choice: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - reproducible

    @classmethod
    def of(cls, deployment: Deployment, url: str, contact: str) -> "Mixture":
        """With keys of several tenants, and an access token."""
        with open_control(deployment) as control:
            keys = control.add_keys(control.add_tenants(_TENANTS, PLAN), _KEYS)
        return cls(url, deployment.tenant.headers, keys, new_access_token(deployment), contact)

    def requests(self) -> Iterator[bytes]:
        """Without end."""
        kinds, weights = list(KINDS), list(KINDS.values())
        while True:
            for kind in self.choice.choices(kinds, weights, k=1000):
                yield kind(self)

    def get(self, path: str, **headers: str) -> bytes:
        """A read with the tenant's key, or with other headers."""
        return request_bytes(self.url + path, headers or self.headers)

    def send(self, method: str, path: str, body: object, **headers: str) -> bytes:
        """A write with the tenant's key, or with other headers."""
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        return request_bytes(self.url + path, headers or self.headers, method, content)

    def source(self) -> str:
        """An address that a request claims to come from."""
        return f"10.{self.choice.randrange(256)}.{self.choice.randrange(256)}.{self.choice.randrange(1, 255)}"


def _one(mixture: Mixture) -> bytes:
    return mixture.get(f"/v1/contacts/{mixture.contact}")


def _page(mixture: Mixture) -> bytes:
    return mixture.get(f"/v1/contacts?limit={mixture.choice.randrange(1, 101)}")


def _shaped(mixture: Mixture) -> bytes:
    return mixture.get(f"/v1/contacts?{shape(mixture.choice, mixture.choice.randrange(1, MAX_FILTERS + 1))}")


def _too_many(mixture: Mixture) -> bytes:
    return mixture.get(f"/v1/contacts?{shape(mixture.choice, 36)}")


def _update(mixture: Mixture) -> bytes:
    names = mixture.choice.sample(sorted(_FIELDS), mixture.choice.randrange(1, len(_FIELDS) + 1))
    return mixture.send("PATCH", f"/v1/contacts/{mixture.contact}", {name: _FIELDS[name] for name in names})


def _create(mixture: Mixture) -> bytes:
    return mixture.send("POST", "/v1/deals", {"title": "Engine", "amount_cents": mixture.choice.randrange(10**6)})


def _invalid(mixture: Mixture) -> bytes:
    return mixture.send("POST", "/v1/contacts", {f"field_{mixture.choice.randrange(10**6)}": "x" for _ in range(5)})


def _not_json(mixture: Mixture) -> bytes:
    return mixture.send("POST", "/v1/contacts", b'{"name": ' + b"[" * mixture.choice.randrange(1, 500))


def _big(mixture: Mixture) -> bytes:
    return mixture.send("POST", "/v1/contacts", {"name": "x" * mixture.choice.randrange(_BIG)})


def _me(mixture: Mixture) -> bytes:
    return mixture.get("/v1/me", **{"X-API-Key": mixture.choice.choice(mixture.keys)})


def _token(mixture: Mixture) -> bytes:
    return mixture.get("/v1/me", Authorization=f"Bearer {mixture.token}")


def _bad_token(mixture: Mixture) -> bytes:
    head, body, _ = mixture.token.split(".")
    signature = mixture.choice.randbytes(43).hex()
    return mixture.get("/v1/me", Authorization=f"Bearer {head}.{body}.{signature}", **_from(mixture))


def _unknown_key(mixture: Mixture) -> bytes:
    return mixture.get("/v1/me", **{"X-API-Key": new_secrets(1)[0]}, **_from(mixture))


def _bad_checksum(mixture: Mixture) -> bytes:
    return mixture.get(
        "/v1/me", **{"X-API-Key": f"tn_live_{mixture.choice.randbytes(18).hex()}AAAAAA"}, **_from(mixture)
    )


def _unknown_path(mixture: Mixture) -> bytes:
    return mixture.get(f"/v1/{mixture.choice.randbytes(8).hex()}/{mixture.choice.randbytes(8).hex()}")


def _unknown_row(mixture: Mixture) -> bytes:
    return mixture.get(f"/v1/contacts/contact_{'0' * 20}{mixture.choice.randrange(10**6):06}")


def _wrong_method(mixture: Mixture) -> bytes:
    return mixture.send("PUT", f"/v1/contacts/{mixture.contact}", {})


def _add_key(mixture: Mixture) -> bytes:
    return mixture.send("POST", "/v1/api-keys", {"name": "another", "role": "viewer"})


def _keys(mixture: Mixture) -> bytes:
    return mixture.get("/v1/api-keys?limit=10")


def _usage(mixture: Mixture) -> bytes:
    return mixture.get(f"/v1/usage?route=/v1/{mixture.choice.randrange(10**6)}")


def _sign_in(mixture: Mixture) -> bytes:
    body = {"email": f"u{mixture.choice.randrange(10**6)}@example.com", "password": "x" * 20, "tenant": "nobody"}
    return mixture.send("POST", "/v1/auth/login", body, **_from(mixture))


def _refresh(mixture: Mixture) -> bytes:
    return mixture.send(
        "POST", "/v1/auth/refresh", {"refresh_token": mixture.choice.randbytes(30).hex()}, **_from(mixture)
    )


def _public(mixture: Mixture) -> bytes:
    return mixture.get(mixture.choice.choice(("/livez", "/readyz", "/openapi.json", "/.well-known/jwks.json")))


def _from(mixture: Mixture) -> dict[str, str]:
    return {"X-Forwarded-For": mixture.source()}


KINDS: dict[Kind, float] = {
    _one: 16,
    _page: 8,
    _shaped: 16,
    _too_many: 1,
    _update: 8,
    _create: 2,
    _invalid: 4,
    _not_json: 2,
    _big: 1,
    _me: 10,
    _token: 5,
    _bad_token: 3,
    _unknown_key: 4,
    _bad_checksum: 4,
    _unknown_path: 4,
    _unknown_row: 4,
    _wrong_method: 2,
    _add_key: 0.2,
    _keys: 2,
    _usage: 1,
    _sign_in: 0.1,
    _refresh: 1,
    _public: 1,
}


async def rude(url: str, requests: Sequence[bytes]) -> None:
    """Clients that leave: after a part of the request, before the answer, and in the middle of a huge body."""
    head = (
        b"POST /v1/contacts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % _HUGE
    )
    sent = [part for each in requests for part in (each[: len(each) // 2], each)]
    await asyncio.gather(*(_leave(url, each) for each in (*sent, head + b"x" * (_HUGE // 2))))


async def _leave(url: str, sent: bytes) -> None:
    address = urlsplit(url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(sent)
    await asyncio.sleep(0.002)
    writer.transport.abort()
