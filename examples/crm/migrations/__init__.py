"""The tables of the CRM through time, written by `tenantry resources migration`."""
