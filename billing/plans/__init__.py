"""Plans: windows, quota, features and price."""
