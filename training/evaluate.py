"""Evaluation: several models learn from and are scored on the same windows of some records."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pandas as pd
import torch
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from pydantic import Field
from rich.progress import Progress

from hybridtwin.errors import HistoryError, ModelError, Problem
from hybridtwin.record import Record
from hybridtwin.record_files import fingerprint
from hybridtwin.registry import TRACKING_URI
from training.metrics import MEAN, rows
from training.peers import PEERS
from training.tracking import code_version, experiment
from training.windows import FitFunction, Prediction, Skipped, WindowRule, Windows, split_by_time

EXPERIMENT: Final = "evaluate"


class Protocol(WindowRule):
    """What is learnt from, what is scored, and against whom."""

    name: str
    split: str = Field(description="The rows' word for what was learnt from and scored.")
    peers: tuple[str, ...] = Field(tuple(PEERS), description="Of persistence, ridge, trees.")
    bootstrap_samples: int = Field(1000, ge=1)
    seed: int = 0


@dataclass(frozen=True)
class Report:
    """What an evaluation found, and all that is needed to repeat it.

    Attributes:
        protocol: How it was done.
        data_fingerprint: SHA-256 over the records.
        code_version: Of this package, by git where there is a repository.
        created: When, UTC.
        rows: Tidy rows, see `training.metrics.ROW`.
        skipped: Records without enough windows.
        seconds: To learn and to predict, by model.
    """

    protocol: Protocol
    data_fingerprint: str
    code_version: str
    created: datetime
    rows: pd.DataFrame
    skipped: list[Skipped]
    seconds: dict[str, float]


def evaluate(
    records: Sequence[Record],
    protocol: Protocol,
    models: Mapping[str, FitFunction],
    progress: Progress | None = None,
) -> Report:
    """Fit the protocol's peers and further models on the same windows, and score them.

    Args:
        records: Of any people; those without enough windows are skipped and named.
        protocol: How.
        models: Further models by name, such as the twin.
        progress: Where to show how far it is.

    Raises:
        HistoryError: No record has enough windows.
        ModelError: A model is unknown, or does not predict every window.
    """
    split = split_by_time(records, protocol)
    if not split.score.participants:
        reasons = [Problem(each.participant, each.reason, "Send more.") for each in split.skipped]
        raise HistoryError(reasons or [Problem("records", "there are none", "Send some.")])
    fits = _peers(protocol) | dict(models)
    tables, seconds = [], {}
    progress = progress or Progress(disable=True)
    task = progress.add_task("evaluate", total=len(fits))
    for name, fit in fits.items():
        progress.update(task, description=f"evaluate {name}")
        began = time.perf_counter()
        prediction = fit(split.learn)(split.score)
        seconds[name] = time.perf_counter() - began
        _check(name, prediction, split.score)
        tables.append(
            rows(
                name,
                split.score,
                prediction,
                protocol.split,
                protocol.bootstrap_samples,
                protocol.seed,
            )
        )
        progress.advance(task)
    return Report(
        protocol=protocol,
        data_fingerprint=fingerprint(records),
        code_version=code_version(),
        created=datetime.now(UTC),
        rows=pd.concat(tables, ignore_index=True),
        skipped=split.skipped,
        seconds=seconds,
    )


def _peers(protocol: Protocol) -> dict[str, FitFunction]:
    unknown = [name for name in protocol.peers if name not in PEERS]
    if unknown:
        raise ModelError.of("peers", f"no peer {unknown[0]!r}", f"Choose of {', '.join(PEERS)}.")
    return {name: PEERS[name] for name in protocol.peers}


def _check(name: str, prediction: Prediction, windows: Windows) -> None:
    shape = (len(windows), len(windows.horizons_min))
    if prediction.mean.shape != shape:
        what = f"predicts {tuple(prediction.mean.shape)} values where {shape} were asked"
        raise ModelError.of(name, what, "Return one mean per window and horizon.")
    spread = prediction.quantiles if prediction.quantiles is not None else prediction.mean
    for values in (prediction.mean, spread):
        if not bool(torch.isfinite(values).all()):
            raise ModelError.of(name, "predicts values that are not finite", "Train it again.")


def write_report(report: Report, path: Path) -> None:
    """Write a report as JSON."""
    content: dict[str, Any] = {
        "protocol": report.protocol.model_dump(mode="json"),
        "data_fingerprint": report.data_fingerprint,
        "code_version": report.code_version,
        "created": report.created.isoformat(timespec="seconds"),
        "seconds": {name: round(value, 2) for name, value in report.seconds.items()},
        "skipped": [asdict(each) for each in report.skipped],
        "rows": report.rows.to_dict(orient="records"),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def log_report(report: Report, path: Path, uri: str = TRACKING_URI) -> str:
    """Log a written report to MLflow: settings, means as metrics, the file and a figure.

    Args:
        report: What was found.
        path: Where `write_report` wrote it.
        uri: An SQLite tracking store; artifacts go beside its file.

    Returns:
        The run's id.
    """
    client = MlflowClient(tracking_uri=uri)
    run = client.create_run(experiment(EXPERIMENT, uri), run_name=report.protocol.name).info.run_id
    settings = report.protocol.model_dump(mode="json") | {
        "data_fingerprint": report.data_fingerprint,
        "code_version": report.code_version,
        "skipped": len(report.skipped),
    }
    client.log_batch(
        run,
        metrics=[
            Metric(f"{row.model}.{row.metric}.{row.horizon_min}.{row.cohort}", row.value, now, 0)
            for now in [int(report.created.timestamp() * 1000)]
            for row in _means(report).itertuples()
        ],
        params=[Param(key, str(value)) for key, value in settings.items()],
    )
    client.log_artifact(run, str(path))
    client.log_figure(run, figure(report), "rmse.png")
    client.set_terminated(run)
    return str(run)


def _means(report: Report) -> pd.DataFrame:
    return report.rows[report.rows["participant"] == MEAN]


def figure(report: Report) -> Figure:
    """RMSE against the horizon, a panel for each cohort, with confidence intervals."""
    means = _means(report)
    means = means[means["metric"] == "rmse"]
    cohorts = list(means["cohort"].unique())
    drawn = Figure(figsize=(3.6 * len(cohorts), 3.4), layout="constrained")
    panels = drawn.subplots(1, len(cohorts), squeeze=False, sharey=True)[0]
    for panel, cohort in zip(panels, cohorts, strict=True):
        for model, group in means[means["cohort"] == cohort].groupby("model", sort=False):
            whiskers = [group["value"] - group["ci_low"], group["ci_high"] - group["value"]]
            panel.errorbar(
                group["horizon_min"], group["value"], yerr=whiskers, marker="o", label=model
            )
        panel.set(title=cohort, xlabel="horizon (min)")
    panels[0].set_ylabel("RMSE (mg/dL)")
    panels[0].legend()
    return drawn
