"""The HTTP/1.1 server: strict request parsing, size limits, timeouts and response writing, on top of uvicorn."""
