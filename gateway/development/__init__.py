"""`tenantry dev`: real parts on loopback, started and stopped by us."""
