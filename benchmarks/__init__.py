"""What Tenantry costs, as ratios measured in one run. See docs/benchmarks.md."""
