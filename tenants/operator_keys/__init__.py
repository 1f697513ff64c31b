"""The credentials of the SaaS team's own staff."""
