"""All routes of stored patients."""

from typing import Final

from serving.v1 import (
    audit,
    consents,
    events,
    imports,
    jobs,
    keys,
    observations,
    patients,
    research,
    reviews,
    shares,
    twin,
)

ROUTERS: Final = (
    patients.router,
    observations.router,
    imports.router,
    twin.router,
    events.router,
    jobs.router,
    reviews.router,
    consents.router,
    shares.router,
    research.router,
    keys.router,
    audit.router,
)
