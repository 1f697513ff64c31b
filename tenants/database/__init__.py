"""Engine, control and tenant sessions, schema names, roles."""
