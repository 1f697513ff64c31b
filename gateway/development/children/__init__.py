"""The processes that `tenantry dev` starts with ``python -m``: the gateway and the job worker."""
