"""The control schema and the tenant schema through time, and the fleet runner."""
