"""Settings of the deployment itself: what it serves, to whom, and what can be seen of it."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from gateway.settings.values import HostNames, HttpUrl, Mode, Networks, Origins

_CONTACT = re.compile(r"(?:https|mailto|tel):[\x21-\x7e]+")  # RFC 9116 section 2.5.3


def _contact(value: str | None) -> str | None:
    if value is not None and not _CONTACT.fullmatch(value):
        raise ValueError("must be a mailto:, https: or tel: URI")
    return value


class HttpGroup(BaseModel):
    """How callers reach the gateway."""

    mode: Annotated[
        Mode, Field(description="In production the gateway refuses to start with a missing or default secret.")
    ] = Mode.PRODUCTION
    public_url: Annotated[
        HttpUrl, Field(description="URL at which callers reach the gateway: issuer of tokens, base of problem types.")
    ] = "http://127.0.0.1:8000"
    hosts: Annotated[
        HostNames, Field(description="Accepted values of the Host field, separated by commas; empty accepts any.")
    ] = []
    cors_origins: Annotated[
        Origins,
        Field(description="Origins whose pages may call the API for every tenant, separated by commas."),
    ] = []
    trusted_proxies: Annotated[
        Networks,
        Field(description="Addresses or networks whose X-Forwarded-For is trusted, separated by commas."),
    ] = []
    decision_networks: Annotated[
        Networks,
        Field(
            description="Addresses or networks of proxies that may ask /authorize, separated by commas; empty is off."
        ),
    ] = []
    decision_audience: Annotated[
        str,
        Field(
            pattern=r"^[a-z][a-z0-9_.-]{0,99}$",
            description="Audience of Tenantry-Identity for decisions on requests that go to no upstream.",
        ),
    ] = "decisions"
    security_contact: Annotated[
        str | None,
        AfterValidator(_contact),
        Field(description="Contact URI in security.txt; by default security@ and the public URL's host."),
    ] = None
    stop_notice_seconds: Annotated[
        float,
        Field(ge=0, le=120, description="After SIGTERM, seconds to serve with /readyz at 503 before stopping."),
    ] = 5.0
    resources: Annotated[
        str | None, Field(description="Module whose RESOURCES are served, such as `examples.crm.resources`.")
    ] = None
    body_limit: Annotated[
        int, Field(ge=1024, description="Maximum size of a request body, in bytes, on any route that is not proxied.")
    ] = 1_048_576
    held_memory_limit: Annotated[
        int,
        Field(
            ge=1_048_576,
            description="Bytes of unfinished requests and undelivered responses that a worker holds, a quarter of them "
            "for one source; at least 16 times the body limit.",
        ),
    ] = 67_108_864


class ProxyGroup(BaseModel):
    """Routes to the SaaS team's own services."""

    proxy_cache_bytes: Annotated[
        int,
        Field(
            ge=1_048_576,
            description="Bytes that a worker uses for answers of routes with a cache; one answer at most an eighth.",
        ),
    ] = 67_108_864


class ObservabilityGroup(BaseModel):
    """Metrics and logs."""

    metrics_folder: Annotated[
        Path | None,
        Field(description="Folder for the metrics of all workers of a host; by default a temporary folder."),
    ] = None
    metrics_networks: Annotated[
        Networks, Field(description="Addresses or networks that may read /metrics, separated by commas.")
    ] = ["127.0.0.0/8", "::1"]
    access_log_share: Annotated[
        float, Field(ge=0, le=1, description="Share of successful requests that are logged; all others always are.")
    ] = 1.0
    log_level: Annotated[
        str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="DEBUG, INFO, WARNING or ERROR.")
    ] = "INFO"
