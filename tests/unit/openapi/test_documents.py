"""The two OpenAPI documents of the example: their contents, their names, and examples that are valid."""

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis

from gateway.openapi.document import operations_of
from gateway.openapi.editions import EDITIONS, OPERATORS, TENANTS, Edition
from gateway.openapi.errors import ANYWHERE
from gateway.problems.documents import catalogue
from tests.fixtures.unconnected import unconnected_api, unconnected_services

_PUBLIC_URL = "https://api.example.com/gateway"
_DOCUMENTS = unconnected_api(unconnected_services(public_url=f"{_PUBLIC_URL}/")).state.documents
_MADE: dict[Edition, dict[str, Any]] = {edition: _DOCUMENTS.describe(edition) for edition in EDITIONS}
_BOTH = pytest.mark.parametrize("edition", EDITIONS, ids=lambda edition: edition.title)

# Names of functions in generated clients: a change here breaks those who generated one.
_OPERATION_IDS = {
    TENANTS: """
        list_contacts create_contact read_contact update_contact delete_contact
        list_deals create_deal read_deal update_deal delete_deal win_deal read_contact_stats
        read_own_tenant update_own_tenant
        create_api_key list_api_keys read_api_key update_api_key
        rotate_api_key disable_api_key enable_api_key revoke_api_key list_descendants
        list_members read_member update_member remove_member revoke_keys_of_member hand_over_keys_of_member
        create_invitation list_invitations read_invitation resend_invitation revoke_invitation
        accept_invitation renew_invitation
        create_role list_roles read_role update_role delete_role try_role_changes list_permissions
        read_sso_connection configure_sso_connection remove_sso_connection
        add_sso_domain list_sso_domains read_sso_domain verify_sso_domain remove_sso_domain
        start_sso end_sso redeem_sso
        list_audit_events read_audit_event export_audit_events
        create_scim_user list_scim_users read_scim_user replace_scim_user update_scim_user delete_scim_user
        create_scim_group list_scim_groups read_scim_group replace_scim_group update_scim_group delete_scim_group
        read_scim_config list_scim_resource_types read_scim_resource_type list_scim_schemas read_scim_schema
        read_scim_settings update_scim_settings list_group_roles read_group_role update_group_role
        list_usage read_me explain_decision log_in refresh_tokens log_out read_signing_keys
        list_sessions end_session switch_tenant list_own_tenants
        change_password forgot_password reset_password sign_up verify_email
        verify_mfa read_mfa begin_totp confirm_totp remove_totp renew_recovery_codes reset_member_mfa
        request_passkey log_in_with_passkey begin_passkey
        create_workload_rule list_workload_rules read_workload_rule update_workload_rule delete_workload_rule
        issue_token read_server_metadata
        create_passkey list_passkeys read_passkey update_passkey remove_passkey
    """,
    OPERATORS: """
        create_tenant list_tenants read_tenant update_tenant delete_tenant suspend_tenant resume_tenant
        create_plan list_plans read_plan update_plan
        create_route list_routes read_route replace_route delete_route
        create_upstream list_upstreams read_upstream replace_upstream delete_upstream read_upstream_health
        read_route_configuration replace_route_configuration purge_cache list_route_versions roll_back_routes
        list_stripe_events read_stripe_event replay_stripe_event receive_stripe_event
        create_operator_key list_operator_keys read_operator_key revoke_operator_key
        report_leaked_keys
        verify verify_batch evaluate_access evaluate_accesses read_authzen_metadata
        list_operator_audit_events read_operator_audit_event
        list_migrations read_control_migration read_migration
        read_liveness read_readiness read_metrics
    """,
}


def _operations(edition: Edition) -> Iterator[tuple[str, dict[str, Any]]]:
    """Operation ids with their operations."""
    for _, operation in operations_of(_MADE[edition]):
        yield operation["operationId"], operation


@_BOTH
def test_operation_ids_are_short_and_stable(edition: Edition) -> None:
    assert sorted(name for name, _ in _operations(edition)) == sorted(_OPERATION_IDS[edition].split())


def test_no_operation_id_is_in_both_documents() -> None:
    """Ours; a resource of the SaaS may have the name of an operator's object, such as plans."""
    tenants, operators = ({name for name, _ in _operations(edition)} for edition in EDITIONS)
    assert tenants & operators == set()


@_BOTH
def test_the_document_is_openapi(edition: Edition) -> None:
    """Valid by the specification's own JSON Schema, without a reference that leads nowhere."""
    document = _MADE[edition]
    assert document["openapi"].startswith("3.1")
    schemathesis.openapi.from_dict(document).validate()
    for reference in set(re.findall(r"'\$ref': '([^']+)'", repr(document))):
        node = document
        for name in reference.removeprefix("#/").split("/"):
            node = node[name]


def test_each_document_has_the_paths_of_its_readers() -> None:
    """Integrators see no operator route, no probe and no webhook of Stripe; operators no route of a tenant."""
    tenants, operators = (set(_MADE[edition]["paths"]) for edition in EDITIONS)
    assert all(path.startswith(("/v1/", "/scim/v2/", "/.well-known/")) for path in tenants)
    rest = {path for path in operators if not path.startswith("/operator/v1/")}
    authzen = {"/access/v1/evaluation", "/access/v1/evaluations", "/.well-known/authzen-configuration"}
    assert rest == {"/livez", "/readyz", "/metrics", "/webhooks/stripe"} | authzen


@_BOTH
def test_the_introduction_says_how_to_call(edition: Edition) -> None:
    """With links to this deployment's own pages; the server is its public URL."""
    document = _MADE[edition]
    assert document["servers"] == [{"url": _PUBLIC_URL}]
    text = document["info"]["description"]
    for subject in (
        "X-API-Key",
        "## Errors",
        f"({_PUBLIC_URL}/problems)",
        "next_cursor",
        "If-Match",
        "ETag",
        "RFC 3339",
    ):
        assert subject in text
    assert "$" not in text
    if edition is TENANTS:
        assert all(word in text for word in ("RateLimit-Policy", "Retry-After", "created_at[gte]", "`key_`"))


def test_tags_start_with_the_resources() -> None:
    """The SaaS's own API is what an integrator comes for; every tag says what it is about."""
    tags = [each["name"] for each in _MADE[TENANTS]["tags"]]
    ours = [
        *("tenant", "api keys", "members", "invitations", "roles", "single sign-on", "audit log", "scim", "usage"),
        *("me", "decisions", "workload rules", "tokens", "sign-in", "second factors"),
    ]
    assert tags == ["contacts", "deals", *ours]
    assert next(iter(_MADE[TENANTS]["paths"])) == "/v1/contacts"
    for edition in EDITIONS:
        described = {each["name"] for each in _MADE[edition]["tags"] if each["description"]}
        assert {tag for _, each in _operations(edition) for tag in each["tags"]} == described


@_BOTH
def test_every_operation_and_parameter_is_described(edition: Edition) -> None:
    for name, operation in _operations(edition):
        assert 5 < len(operation["summary"]) < 80, name
        assert not operation["summary"].endswith("."), name
        assert len(operation["description"]) > len(operation["summary"]), name
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], (name, parameter["name"])


@_BOTH
def test_every_operation_documents_its_errors(edition: Edition) -> None:
    """As problem documents, with their codes and header fields."""
    for name, operation in _operations(edition):
        responses = operation["responses"]
        assert ("401" in responses) == (operation["security"] != [] or name in _CHECK_CREDENTIALS), name
        for status, response in responses.items():
            assert "X-Request-Id" in response["headers"], (name, status)
            if status == "default" or int(status) >= 400:
                format_ = "scim+json" if operation["tags"] == ["scim"] and _is_scim(name) else "problem+json"
                format_ = "json" if name == "issue_token" else format_
                assert list(response["content"]) == [f"application/{format_}"], (name, status)
                assert "`" in response["description"], (name, status)
            assert ("Retry-After" in response["headers"]) == (status in {"429", "503"}), (name, status)
        assert ("429" in responses) == (name not in _UNLIMITED), name


def _is_scim(name: str) -> bool:
    return name not in {"read_scim_settings", "update_scim_settings"} and "group_role" not in name


# Public, and refuse what they are sent as a credential.
_CHECK_CREDENTIALS = {
    *("accept_invitation", "end_sso", "log_in", "redeem_sso", "refresh_tokens", "reset_password", "verify_email"),
}
_CHECK_CREDENTIALS |= {
    "issue_token",
    "verify_mfa",
    "begin_totp",
    "confirm_totp",
    "request_passkey",
    "log_in_with_passkey",
}
_UNLIMITED = {
    "read_server_metadata",
    "read_signing_keys",
    "receive_stripe_event",
    "read_authzen_metadata",
    "read_liveness",
    "read_readiness",
    "read_metrics",
}


def test_every_code_is_documented_where_it_occurs() -> None:
    """A new error is declared in the terms of an endpoint, or implied by all terms of a kind."""
    text = " ".join(
        response["description"]
        for edition in EDITIONS
        for _, operation in _operations(edition)
        for response in operation["responses"].values()
    )
    documented = set(re.findall(r"`([a-z_]+)`", text))
    # A refused method belongs to no operation; refusals of payments reach a job, not a caller; proxied routes are in no
    # document.
    proxied = {"upstream_error", "upstream_timeout", "upgrade_required"}
    elsewhere = {"method_not_allowed", "method_not_implemented", "payments_refused"} | proxied
    assert set(catalogue()) - documented == elsewhere
    assert {error.code for error in ANYWHERE} <= documented


def test_an_endpoints_own_error_replaces_the_general_one() -> None:
    win = dict(_operations(TENANTS))["win_deal"]["responses"]
    assert win["409"]["description"] == "- `conflict`: The deal is already won or lost."
    assert "entitlement_required" in win["403"]["description"], "it costs more than one request"


def test_success_documents_its_header_fields() -> None:
    """RateLimit of what is charged to a plan, Location of what is new, ETag of what has versions."""
    operations = {name: each["responses"] for edition in EDITIONS for name, each in _operations(edition)}
    assert {"RateLimit", "RateLimit-Policy", "ETag", "Location"} <= operations["create_contact"]["201"][
        "headers"
    ].keys()
    assert {"RateLimit", "RateLimit-Policy", "ETag"} <= operations["read_contact"]["200"]["headers"].keys()
    assert "ETag" in operations["update_plan"]["200"]["headers"]
    assert "RateLimit" not in operations["create_tenant"]["201"]["headers"]
    assert "Location" in operations["create_tenant"]["201"]["headers"]


@_BOTH
def test_the_schemes_are_those_of_the_readers(edition: Edition) -> None:
    document = _MADE[edition]
    schemes = document["components"]["securitySchemes"]
    assert ("tn_op_" in str(schemes)) is (edition is OPERATORS)
    used = [each["security"] for _, each in _operations(edition) if each["security"]]
    either: list[dict[str, list[str]]] = [{name: []} for name in schemes]
    assert all(each in (either, [*either, {}]) for each in used)  # the last one makes them optional


def _contents(edition: Edition) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every body of a request and of a successful response."""
    for name, operation in _operations(edition):
        for body in operation.get("requestBody", {}).get("content", {}).values():
            yield f"{name} request", body
        for status, response in operation["responses"].items():
            if status.startswith("2"):
                for body in response.get("content", {}).values():
                    yield f"{name} {status}", body


def _is_valid(edition: Edition, schema: dict[str, Any], value: object) -> bool:
    within = {"components": _MADE[edition]["components"], **schema}
    return jsonschema_rs.validator_for(within, validate_formats=True).is_valid(value)


@_BOTH
def test_every_body_has_an_example_that_is_valid(edition: Edition) -> None:
    """Requests and responses alike: what is copied from the document works."""
    for where, body in _contents(edition):
        assert "example" in body, where
        assert _is_valid(edition, body["schema"], body["example"]), (where, body["example"])


@_BOTH
def test_every_example_of_a_schema_is_valid(edition: Edition) -> None:
    """Of properties, parameters, header fields, and of the problem document."""
    found = list(_examples(_MADE[edition]))
    assert len(found) > 20
    for schema, example in found:
        assert _is_valid(edition, schema, example), (schema, example)


def _examples(node: object) -> Iterator[tuple[dict[str, Any], object]]:
    if isinstance(node, dict):
        for example in node["examples"] if isinstance(node.get("examples"), list) else ():
            yield node, example
        if "example" in node and "schema" in node:
            yield node["schema"], node["example"]
        for each in node.values():
            yield from _examples(each)
    elif isinstance(node, list):
        for each in node:
            yield from _examples(each)


@_BOTH
def test_our_own_examples_have_no_placeholder(edition: Edition) -> None:
    """A string without a declared example would show as the word text."""
    for where, body in _contents(edition):
        assert "'text'" not in repr(body["example"]), where


@_BOTH
def test_schemas_have_names_for_clients(edition: Edition) -> None:
    names = _MADE[edition]["components"]["schemas"]
    assert [name for name in names if not re.fullmatch(r"[A-Z][A-Za-z]+", name)] == []
    assert "HTTPValidationError" not in names
    assert {"ApiKeyPage", "ContactPage"} <= names.keys() if edition is TENANTS else {"TenantPage"} <= names.keys()
