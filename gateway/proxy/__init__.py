"""Proxied routes: requests that pass the gate go on to the SaaS team's own services."""
