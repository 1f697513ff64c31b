"""The ``tenantry`` command: one file a group."""
