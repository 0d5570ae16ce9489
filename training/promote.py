"""Promotion: a challenger becomes champion if it is worse at nothing that counts; see `gates`."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mlflow import MlflowClient

from hybridtwin.errors import ModelError
from hybridtwin.registry import MODEL_NAME, TRACKING_URI, load_twin, twin_folder
from training.card import write_card
from training.gates import read_reports

CARD: Final = "MODEL_CARD.md"


def _check_scored(version: str, paths: Sequence[Path]) -> None:
    for name, report in read_reports(paths).items():
        if report.twin_version != version:
            raise ModelError.of(
                name,
                f"scored twin {report.twin_version}, but the challenger is {version}",
                f"Evaluate with --model models:/{MODEL_NAME}@challenger.",
            )


def promote(challenger: Sequence[Path], champion: Sequence[Path], box: Path | None = None) -> str:
    """Make MLflow's challenger its champion, keep the old one as `previous`, write the card.

    Args:
        challenger: Its reports; they are logged to its run, with the card made from them.
        champion: The old champion's reports, for the card.
        box: Where to write twin and card too.

    Returns:
        The new champion's version in MLflow's registry.

    Raises:
        ModelError: MLflow has no challenger, or a report is of another twin.
    """
    client = MlflowClient(tracking_uri=TRACKING_URI)
    source = f"models:/{MODEL_NAME}@challenger"
    folder = twin_folder(source)
    _check_scored(load_twin(folder).config.version, challenger)
    aliases = client.get_registered_model(MODEL_NAME).aliases
    version = str(aliases["challenger"])
    run = client.get_model_version(MODEL_NAME, version).run_id
    with tempfile.TemporaryDirectory() as scratch:
        card = write_card(load_twin(folder).config, challenger, Path(scratch) / CARD, champion)
        client.log_artifact(run, str(card))
        for report in challenger:
            client.log_artifact(run, str(report), "reports")
        if box is not None:
            shutil.copytree(folder, box, dirs_exist_ok=True)
            shutil.copy(card, box)
    if "champion" in aliases:
        client.set_registered_model_alias(MODEL_NAME, "previous", str(aliases["champion"]))
    client.set_registered_model_alias(MODEL_NAME, "champion", version)
    client.delete_registered_model_alias(MODEL_NAME, "challenger")
    return version
