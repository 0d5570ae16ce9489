"""What goes to MLflow: runs, figures, data fingerprint, code version and the model itself."""

import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, DataType, Schema

from hybridtwin.record_files import load_record
from hybridtwin.registry import MODEL_NAME, TRACKING_URI, load_twin

_TWIN_ARTIFACT = "twin"


def code_version() -> str:
    """`git describe` where the code lies in a repository, otherwise the package's version."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--tags"],  # noqa: S607
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return version("hybridtwin")
    return described.stdout.strip()


class LoggedTwin(PythonModel):
    """A twin as MLflow serves it: record folders in, forecasts as JSON out."""

    def load_context(self, context: Any) -> None:
        """Load the twin that was logged beside."""
        self.twin = load_twin(context.artifacts[_TWIN_ARTIFACT])

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None
    ) -> list[str]:
        """A forecast report (JSON) for each record folder in the column `record`."""
        return [
            self.twin.forecast(self.twin.believe(load_record(Path(home))))
            .report()
            .model_dump_json()
            for home in model_input["record"]
        ]


def experiment(name: str, uri: str = TRACKING_URI) -> str:
    """The id of an experiment whose artifacts lie beside the database; made if it is not there."""
    home = Path(uri.removeprefix("sqlite:///")).parent
    home.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(name)
    if found:
        return str(found.experiment_id)
    return str(client.create_experiment(name, (home / "artifacts").resolve().as_uri()))


def log_twin(run_id: str, folder: Path, uri: str = TRACKING_URI) -> str:
    """Log and register a population twin; the first ever becomes `champion`.

    Args:
        run_id: The run that made it.
        folder: Where `save_twin` wrote it.
        uri: The tracking store.

    Returns:
        The alias that it was given: `champion` if there was none yet, otherwise `challenger`.
    """
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(tracking_uri=uri)
    signature = ModelSignature(
        inputs=Schema([ColSpec(DataType.string, "record")]),
        outputs=Schema([ColSpec(DataType.string)]),
    )
    with mlflow.start_run(run_id=run_id):
        logged = mlflow.pyfunc.log_model(
            name="twin",
            python_model=LoggedTwin(),
            artifacts={_TWIN_ARTIFACT: str(folder)},
            signature=signature,
            registered_model_name=MODEL_NAME,
            pip_requirements=["hybridtwin"],
        )
    alias = "challenger"
    if "champion" not in client.get_registered_model(MODEL_NAME).aliases:
        alias = "champion"
    client.set_registered_model_alias(MODEL_NAME, alias, str(logged.registered_model_version))
    return alias


def horizon_figure(metrics: Mapping[str, float], title: str) -> Figure:
    """RMSE and coverage against the horizon, from metrics named `val/rmse_30` and the like."""
    drawn = Figure(figsize=(7, 3), layout="constrained")
    left, right = drawn.subplots(1, 2)
    for panel, metric, label in (
        (left, "rmse", "RMSE (mg/dL)"),
        (right, "coverage_80", "coverage of the central 80 %"),
    ):
        stem = f"val/{metric}_"
        points = sorted(
            (int(name.removeprefix(stem)), value)
            for name, value in metrics.items()
            if name.startswith(stem)
        )
        panel.plot([point[0] for point in points], [point[1] for point in points], marker="o")
        panel.set(xlabel="horizon (min)", ylabel=label)
    right.axhline(0.8, color="grey", linewidth=0.8)
    drawn.suptitle(title)
    return drawn
