"""Jobs and cron: procrastinate in our own PostgreSQL, enqueued in the transaction of the change that asks for them."""
