"""Routes to the SaaS team's own services: declared as data, validated as a whole, kept in versions."""
