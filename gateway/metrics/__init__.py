"""Prometheus metrics of all workers of one host."""
