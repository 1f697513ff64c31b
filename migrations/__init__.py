"""Revisions of the control schema and of the tenant schemas, and the fleet runner."""
