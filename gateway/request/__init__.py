"""What one request carries from stage to stage: its route, its fields, its source, its context."""
