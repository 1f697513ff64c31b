"""The processes that `tenantry dev` starts with ``python -m``: the gateway and the job worker."""

import gc

# Collections while a child imports find nothing to free and take 15 % of its start. Each child enables them after its
# imports, also in the workers that multiprocessing spawns from it.
gc.disable()
