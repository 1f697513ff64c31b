"""Jobs and cron: procrastinate in the same PostgreSQL, enqueued in the transaction of the change that needs them."""
