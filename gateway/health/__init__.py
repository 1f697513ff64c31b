"""Readiness, the event-loop watchdog and the pacing of garbage collection."""
