"""``python -m gateway.cli``: the same command where nothing was installed."""

from gateway.cli.main import app

app()
