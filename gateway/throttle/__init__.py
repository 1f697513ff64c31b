"""Per-plan throttling: SlowAPI over counters that are leased from Redis."""
