"""Server processes: start, graceful shutdown, rolling restarts and replacement of failed workers."""
