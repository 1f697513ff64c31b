"""``python -m gateway.cli``: the ``tenantry`` command, for the container image and the tests."""

from gateway.cli.main import app

app()
