"""`tenantry dev`, and the local servers that it shares with the tests and benchmarks."""
