"""Rate and concurrency limits of a plan: SlowAPI over counters leased from Redis."""
