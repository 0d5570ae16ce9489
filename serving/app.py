"""The app: which routes there are, and who may use them."""

from collections.abc import Sequence

from fastapi import Depends, FastAPI
from fastapi.params import Depends as Dependency
from fastapi.staticfiles import StaticFiles

from serving import api, page, reading, sign_in, tonight_page
from serving.access.door import require, visitor
from serving.access.policy import Action
from serving.clinic import patient_routes as patient_pages
from serving.clinic import routes as clinic_pages
from serving.clinic import scenario_routes
from serving.description import DescribedApp, text
from serving.problems import handle_problems
from serving.state import clinic
from serving.v1 import routes
from serving.v1.permission import noted


def create_app(stored: bool) -> FastAPI:
    """The app of a service with a store, or without one.

    Without a store it answers whoever reaches it. With one, every path that it describes demands
    credentials, and whoever starts it puts a `Store` and an `Access` into its state.
    """
    app = DescribedApp(
        title="hybridtwin",
        version="1",
        description=text(stored),
        docs_url=None,  # its pages load scripts from other hosts
        redoc_url=None,
    )
    handle_problems(app)
    app.mount("/static", StaticFiles(directory=page.HERE / "static"))  # the same for everyone
    app.include_router(api.router(_closed if stored else _open))
    app.include_router(reading.router, dependencies=[Depends(visitor)] if stored else [])
    if not stored:
        app.include_router(tonight_page.router)
    else:
        app.include_router(sign_in.router)
        app.include_router(clinic_pages.router)
        app.include_router(patient_pages.router)
        app.include_router(scenario_routes.router)
        for router in routes.ROUTERS:
            app.include_router(router)
    return app


def _open(action: Action) -> Sequence[Dependency]:
    return []


def _closed(action: Action) -> Sequence[Dependency]:
    if action is Action.TONIGHT_READ:
        return [noted(action, clinic)]
    return [Depends(require(action))]
