"""What one client can do to all others, measured on two workers: a file for each kind of abuse."""
