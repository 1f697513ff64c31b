"""A configuration is valid as a whole, and every fault names its place."""

from typing import Any

import pytest

from tenants.errors import FieldError
from tenants.outbound.addresses import is_public
from tenants.roles.permissions import catalogue
from tenants.routes.checks import faults_of
from tenants.routes.schemas import LARGEST_BUFFERED, Configuration
from tenants.routes.targets import TargetUrl, read_target
from tenants.routes.templates import read_template

_PUBLIC = "93.184.215.14"


def _faults(routes: list[dict[str, Any]], upstreams: list[dict[str, Any]]) -> list[FieldError]:
    configuration = Configuration.model_validate({"routes": routes, "upstreams": upstreams})
    return list(faults_of(configuration, catalogue(("contacts",)), is_public, ("acme", "globex")))


def _route(**members: Any) -> dict[str, Any]:
    return {"name": "echo", "upstream": "crm", "path": "/echo", "permission": "echo:use"} | members


def _upstream(**members: Any) -> dict[str, Any]:
    return {"name": "crm", "targets": [{"url": "http://10.0.0.5:8080"}]} | members


def _places(faults: list[FieldError]) -> list[tuple[str, str]]:
    return [(each.pointer, each.code) for each in faults]


def test_what_uses_everything_is_valid() -> None:
    """Beside the faults below: that the checks do not refuse what the documentation shows."""
    route = _route(
        hosts=["api.example.com", "[2001:db8::1]"],
        path="/orders/{id}/lines~1:x",
        match="exact",
        methods=["GET", "POST"],
        permission=None,
        permissions={"GET": "contacts:read", "POST": "orders:write"},
        feature="orders",
        cost=3,
        rewrite="/v2/{id}",
        request_fields={
            "remove": ["X-Debug", "Forwarded"],
            "set": {"X-Edge": "a"},
            "set_from_file": {"Authorization": "/run/secrets/orders"},
        },
        response_fields={"remove": ["Server", "Access-Control-Allow-Origin"], "add": {"Link": "<a>; rel=b"}},
        buffer=True,
        body_limit=LARGEST_BUFFERED,
        websocket={"origins": ["https://app.example.com"]},
        cache={"default_seconds": 5},
    )
    other_host = _route(name="other", hosts=["b.example.com"], path="/orders/{id}/lines~1:x", match="exact")
    upstream = _upstream(
        targets=[{"url": "https://orders.internal:8443", "weight": 5}, {"url": "unix:/run/orders.sock"}],
        by_tenant={"acme": [{"url": f"https://{_PUBLIC}"}], "globex": [{"url": "https://api.globex.example"}]},
        tls={"certificate_file": "/etc/tls/a.pem", "key_file": "/etc/tls/a.key", "server_name": "orders.example.com"},
        health={"path": "/healthz?deep=1"},
    )
    assert _faults([route, other_host], [upstream]) == []


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"upstream": "none"}, ("/routes/0/upstream", "not_allowed")),
        ({"hosts": ["API.example.com"]}, ("/routes/0/hosts/0", "bad_format")),
        ({"hosts": ["api.example.com:443"]}, ("/routes/0/hosts/0", "bad_format")),
        ({"hosts": ["a.example", "a.example."]}, ("/routes/0/hosts/1", "bad_format")),
        ({"hosts": ["a.example", "a.example"]}, ("/routes/0/hosts/1", "not_unique")),
        ({"hosts": ["0x7f.1"]}, ("/routes/0/hosts/0", "bad_format")),
        ({"path": "echo"}, ("/routes/0/path", "bad_format")),
        ({"path": "/echo/"}, ("/routes/0/path", "bad_format")),
        ({"path": "/a//b"}, ("/routes/0/path", "bad_format")),
        ({"path": "/a/../b"}, ("/routes/0/path", "bad_format")),
        ({"path": "/a%2Fb"}, ("/routes/0/path", "bad_format")),
        ({"path": "/a?b"}, ("/routes/0/path", "bad_format")),
        ({"path": "/a/x{id}"}, ("/routes/0/path", "bad_format")),
        ({"path": "/a/{id}{no}"}, ("/routes/0/path", "bad_format")),
        ({"path": "/a/{id}/{id}"}, ("/routes/0/path", "not_unique")),
        ({"path": "/a" * 33}, ("/routes/0/path", "too_long")),
        ({"path": "/authorize"}, ("/routes/0/path", "not_allowed")),
        ({"path": "/operator/v1/x"}, ("/routes/0/path", "not_allowed")),
        ({"upstream": None, "cache": {}}, ("/routes/0/cache", "not_allowed")),
        ({"upstream": None, "retries": 0}, ("/routes/0/retries", "not_allowed")),
        ({"rewrite": "v2"}, ("/routes/0/rewrite", "bad_format")),
        ({"rewrite": "/{id}"}, ("/routes/0/rewrite", "not_allowed")),
        ({"rewrite": "/v2", "strip_prefix": True}, ("/routes/0/rewrite", "not_allowed")),
        ({"permission": None}, ("/routes/0/permission", "missing")),
        ({"permission": None, "permissions": {"GET": "echo:use"}}, ("/routes/0/permission", "missing")),
        ({"access": "public"}, ("/routes/0/access", "not_allowed")),
        (
            {"methods": ["GET"], "permissions": {"POST": "echo:write"}},
            ("/routes/0/permissions/POST", "not_allowed"),
        ),
        ({"permission": "api_keys:use"}, ("/routes/0/permission", "unknown_permission")),
        ({"permission": "contacts:read", "grade": "own"}, ("/routes/0/permission", "not_allowed")),
        ({"access": "principal", "permission": None, "grade": "own"}, ("/routes/0/grade", "not_allowed")),
        ({"access": "public", "permission": None, "feature": "x"}, ("/routes/0/feature", "not_allowed")),
        ({"access": "public", "permission": None, "cost": 2}, ("/routes/0/cost", "not_allowed")),
        ({"buffer": True, "body_limit": LARGEST_BUFFERED + 1}, ("/routes/0/body_limit", "too_large")),
        ({"methods": ["POST"], "websocket": {}}, ("/routes/0/websocket", "not_allowed")),
        ({"methods": ["POST"], "cache": {}}, ("/routes/0/cache", "not_allowed")),
        (
            {"websocket": {"any_origin": True, "origins": ["https://a.example"]}},
            ("/routes/0/websocket/origins", "not_allowed"),
        ),
        ({"request_fields": {"remove": ["Transfer-Encoding"]}}, ("/routes/0/request_fields/remove/0", "not_allowed")),
        ({"request_fields": {"set": {"Host": "a"}}}, ("/routes/0/request_fields/set/Host", "not_allowed")),
        (
            {"request_fields": {"set": {"tenantry_Identity": "a"}}},
            ("/routes/0/request_fields/set/tenantry_Identity", "not_allowed"),
        ),
        (
            {"request_fields": {"add": {"Authorization": "a"}}},
            ("/routes/0/request_fields/add/Authorization", "not_allowed"),
        ),
        (
            {"request_fields": {"set": {"X-Forwarded-For": "a"}}},
            ("/routes/0/request_fields/set/X-Forwarded-For", "not_allowed"),
        ),
        ({"request_fields": {"set": {"X-A": "1", "x-a": "2"}}}, ("/routes/0/request_fields/set/x-a", "not_unique")),
        (
            {"response_fields": {"set": {"Content-Length": "1"}}},
            ("/routes/0/response_fields/set/Content-Length", "not_allowed"),
        ),
        (
            {"response_fields": {"set_from_file": {"X-A": "/a"}}},
            ("/routes/0/response_fields/set_from_file/X-A", "not_allowed"),
        ),
    ],
    ids=str,
)
def test_a_fault_of_a_route_names_its_place(members: dict[str, Any], place: tuple[str, str]) -> None:
    """Validated as a whole; AZ7: nothing that is misspelt becomes a default."""
    assert place in _places(_faults([_route(**members)], [_upstream()]))


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"targets": [{"url": "http://h:80/"}]}, ("/upstreams/0/targets/0/url", "bad_url")),
        ({"targets": [{"url": "http://u@h:80"}]}, ("/upstreams/0/targets/0/url", "bad_url")),
        ({"targets": [{"url": "http://H:80"}]}, ("/upstreams/0/targets/0/url", "bad_url")),
        ({"targets": [{"url": "ftp://h:80"}]}, ("/upstreams/0/targets/0/url", "bad_url")),
        ({"targets": [{"url": "http://h:65536"}]}, ("/upstreams/0/targets/0/url", "bad_url")),
        ({"targets": [{"url": "http://0x7f.1:80"}]}, ("/upstreams/0/targets/0/url", "bad_url")),
        ({"targets": [{"url": "unix:/" + "a" * 107}]}, ("/upstreams/0/targets/0/url", "too_long")),
        ({"targets": [{"url": "http://h"}, {"url": "http://h:80"}]}, ("/upstreams/0/targets/1/url", "not_unique")),
        ({"private": False}, ("/upstreams/0/targets/0/url", "not_allowed")),
        (
            {"by_tenant": {"acme": [{"url": "http://169.254.169.254"}]}},
            ("/upstreams/0/by_tenant/acme/0/url", "not_allowed"),
        ),
        (
            {"by_tenant": {"acme": [{"url": "https://[::ffff:10.0.0.1]"}]}},
            ("/upstreams/0/by_tenant/acme/0/url", "bad_url"),
        ),
        ({"by_tenant": {"initech": [{"url": "https://a.example"}]}}, ("/upstreams/0/by_tenant/initech", "not_allowed")),
        ({"by_tenant": {"acme": [{"url": "https://[::1]"}]}}, ("/upstreams/0/by_tenant/acme/0/url", "not_allowed")),
        ({"by_tenant": {"acme": [{"url": "unix:/run/x"}]}}, ("/upstreams/0/by_tenant/acme/0/url", "not_allowed")),
        (
            {"targets": [{"url": "https://h"}], "tls": {"key_file": "/k"}},
            ("/upstreams/0/tls/certificate_file", "missing"),
        ),
        (
            {"targets": [{"url": "https://h"}], "tls": {"verify": False, "ca_file": "/c"}},
            ("/upstreams/0/tls/ca_file", "not_allowed"),
        ),
        (
            {"targets": [{"url": "https://h"}], "tls": {"server_name": "H:1"}},
            ("/upstreams/0/tls/server_name", "bad_format"),
        ),
        ({"tls": {"verify": False}}, ("/upstreams/0/tls", "not_allowed")),
        ({"health": {"path": "/a#b"}}, ("/upstreams/0/health/path", "bad_format")),
    ],
    ids=str,
)
def test_a_fault_of_an_upstream_names_its_place(members: dict[str, Any], place: tuple[str, str]) -> None:
    """PX1: a literal address of a tenant's target is checked when it is saved, in whatever spelling."""
    assert place in _places(_faults([], [_upstream(**members)]))


@pytest.mark.parametrize(
    ("one", "other", "places"),
    [
        ({}, {"path": "/other"}, [("/routes/1/name", "not_unique")]),
        ({}, {"name": "other"}, [("/routes/1/path", "not_unique")]),
        ({"path": "/a/{id}"}, {"name": "other", "path": "/a/{no}"}, [("/routes/1/path", "not_unique")]),
        ({"methods": ["GET"]}, {"name": "other", "methods": ["POST"], "permission": "echo:write"}, []),
        ({}, {"name": "other", "hosts": ["a.example"]}, []),
        ({}, {"name": "other", "match": "exact"}, [("/routes/1/path", "not_unique")]),
        ({"path": "/"}, {"name": "other", "path": "/", "match": "exact"}, []),
        ({"upstream": None}, {"name": "other", "path": "/echo/x", "match": "exact"}, []),
        (
            {"hosts": ["a.example", "b.example"]},
            {"name": "other", "hosts": ["b.example"]},
            [("/routes/1/path", "not_unique")],
        ),
        (
            {"methods": ["GET"]},
            {"name": "other", "methods": ["POST"]},
            [("/routes/0/permission", "not_allowed"), ("/routes/1/permission", "not_allowed")],
        ),
        ({"methods": ["GET"], "grade": "manage"}, {"name": "other", "methods": ["POST"]}, []),
    ],
    ids=str,
)
def test_two_routes_never_answer_the_same_request(
    one: dict[str, Any], other: dict[str, Any], places: list[tuple[str, str]]
) -> None:
    """Nor do they have one name, or give one permission two grades."""
    assert _places(_faults([_route(**one), _route(**other)], [_upstream()])) == places


def test_targets_and_templates_are_read_into_their_parts() -> None:
    assert read_target("https://[2001:db8::1]") == TargetUrl("https", "2001:db8::1", 443)
    assert read_target("unix:/run/x.sock") == TargetUrl("unix", path="/run/x.sock")
    template = read_template("/a/{id}/b/{no}")
    assert (template.parameters, template.shape) == (("id", "no"), ("a", None, "b", None))
    assert read_template("/").segments == ()
