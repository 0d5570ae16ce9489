"""Research: pseudonymised records of those who agree to it."""

import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from serving.access.policy import Action
from serving.store import research
from serving.v1.permission import Permission, may

router = APIRouter(tags=["research"])


@router.get(
    "/v1/research/export",
    response_class=FileResponse,
    responses={200: {"content": {"application/zip": {}}, "description": "The records."}, 409: {}},
    summary="Records of those who agree to research",
)
def export_research(
    permission: Annotated[Permission, may(Action.RESEARCH_EXPORT)],
) -> FileResponse:
    """A zip of record folders, as `hybridtwin train` reads them, and a manifest.

    Names, places and dates are left out, and a profile is in it only if enough people share it;
    409 where some do not. Of thousands of people, `hybridtwin database research` writes more than
    one answer can carry.
    """
    home = Path(mkdtemp(prefix="hybridtwin-research-"))
    try:
        research.export(
            permission.store.database,
            permission.vault,
            permission.caller.subject,
            home / "records",
        )
        packed = shutil.make_archive(str(home / "records"), "zip", home / "records")
    except BaseException:
        shutil.rmtree(home)
        raise
    return FileResponse(
        packed, filename="records.zip", background=BackgroundTask(shutil.rmtree, home)
    )
