"""Which Tenantry this is. The same as in pyproject.toml: an image holds the folders without what installs them."""

VERSION = "0.1.0"
