"""Usage counting: journalled before the response ends, written to PostgreSQL in batches."""
