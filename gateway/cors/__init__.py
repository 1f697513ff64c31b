"""Cross-origin requests: which pages may call which routes (Fetch standard, "CORS protocol")."""
