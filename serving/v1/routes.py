"""All routes of stored patients."""

from typing import Final

from serving.v1 import audit, consents, events, jobs, keys, observations, patients, shares, twin

ROUTERS: Final = (
    patients.router,
    observations.router,
    twin.router,
    events.router,
    jobs.router,
    consents.router,
    shares.router,
    keys.router,
    audit.router,
)
