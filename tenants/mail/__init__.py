"""E-mail: rendered from templates, queued with the change that causes it, sent by a job."""
