"""Evaluation: a protocol's models learn from and are scored on the same windows of some records."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from pydantic import Field, RootModel
from rich.progress import Progress
from rich.table import Table

from hybridtwin.record import Record
from hybridtwin.record_files import fingerprint
from hybridtwin.registry import TRACKING_URI
from training.assimilation_real import RealProtocol, evaluate_real
from training.assimilation_virtual import VirtualProtocol, evaluate_virtual
from training.cause import CauseProtocol, evaluate_cause
from training.cold_start import ColdStartProtocol, evaluate_cold_start
from training.metrics import MEAN
from training.missing import MissingProtocol, evaluate_missing
from training.night import NightProtocol, evaluate_night
from training.review_patterns import PatternsProtocol, evaluate_patterns
from training.review_reasons import ReviewReasonsProtocol, evaluate_reasons
from training.review_suggestions import ReviewSuggestionsProtocol, evaluate_suggestions
from training.scoring import Results, WindowsProtocol, evaluate_windows
from training.sensor_faults import SensorFaultsProtocol, evaluate_sensor_faults
from training.tracking import code_version, experiment
from training.twins import Twins
from training.unseen import UnseenProtocol, evaluate_unseen

EXPERIMENT: Final = "evaluate"
_METRICS_PER_BATCH: Final = 1000  # as many as MLflow takes at once
_MAIN: Final = (
    *("rmse", "auroc", "sign_right", "ranking_error", "difference_error", "found", "false"),
    *("reason_first", "low_prevented", "very_high_caused", "low_suggested", "needless"),
    *("recognised", "lows"),
    *("crps", "sensitivity", "fall", "false_falls"),
)

AnyProtocol = (
    WindowsProtocol
    | UnseenProtocol
    | NightProtocol
    | CauseProtocol
    | MissingProtocol
    | ColdStartProtocol
    | PatternsProtocol
    | SensorFaultsProtocol
    | ReviewReasonsProtocol
    | ReviewSuggestionsProtocol
    | RealProtocol
    | VirtualProtocol
)


class Protocol(RootModel[Annotated[AnyProtocol, Field(discriminator="kind")]]):
    """What is learnt from, what is scored, and against whom; `kind` says how."""


@dataclass(frozen=True)
class Report:
    """What an evaluation found, and all that is needed to repeat it.

    Attributes:
        protocol: How it was done.
        twin_version: Which twin was scored.
        data_fingerprint: SHA-256 over the records.
        code_version: Of this package, by git where there is a repository.
        created: When, UTC.
        results: Rows, figures, what was skipped and how long it took.
    """

    protocol: AnyProtocol
    twin_version: str
    data_fingerprint: str
    code_version: str
    created: datetime
    results: Results


def evaluate(
    records: Sequence[Record],
    protocol: AnyProtocol,
    twins: Twins,
    progress: Progress | None = None,
) -> Report:
    """Score twins and their peers by a protocol.

    Args:
        records: Of any people; those without enough windows are skipped and named.
        protocol: How.
        twins: The twins to score.
        progress: Where to show how far it is.

    Raises:
        HistoryError: No record has enough windows.
        ModelError: A model is missing, or does not predict every window.
    """
    return Report(
        protocol=protocol,
        twin_version=twins.population.config.version,
        data_fingerprint=fingerprint(records),
        code_version=code_version(),
        created=datetime.now(UTC),
        results=_results(records, protocol, twins, progress or Progress(disable=True)),
    )


def _results(
    records: Sequence[Record], protocol: AnyProtocol, twins: Twins, progress: Progress
) -> Results:
    match protocol:
        case WindowsProtocol():
            return evaluate_windows(records, protocol, twins, progress)
        case UnseenProtocol():
            return evaluate_unseen(records, protocol, twins, progress)
        case NightProtocol():
            return evaluate_night(records, protocol, twins, progress)
        case MissingProtocol():
            return evaluate_missing(records, protocol, twins, progress)
        case CauseProtocol():
            return Results(evaluate_cause(protocol, twins.population, twins.settings, progress))
        case ColdStartProtocol():
            return evaluate_cold_start(records, protocol, twins, progress)
        case PatternsProtocol():
            return evaluate_patterns(protocol, progress)
        case SensorFaultsProtocol():
            return evaluate_sensor_faults(records, protocol, twins, progress)
        case ReviewReasonsProtocol():
            found = evaluate_reasons(protocol, twins.population, twins.settings, progress)
            return Results(found)
        case ReviewSuggestionsProtocol():
            found = evaluate_suggestions(protocol, twins.population, twins.settings, progress)
            return Results(found)
        case RealProtocol():
            return evaluate_real(records, protocol, twins, progress)
        case VirtualProtocol():
            return Results(evaluate_virtual(protocol, twins.population, progress))


def write_report(report: Report, path: Path) -> None:
    """Write a report as JSON."""
    content: dict[str, Any] = {
        "protocol": report.protocol.model_dump(mode="json"),
        "twin_version": report.twin_version,
        "data_fingerprint": report.data_fingerprint,
        "code_version": report.code_version,
        "created": report.created.isoformat(timespec="seconds"),
        "seconds": {name: round(value, 2) for name, value in report.results.seconds.items()},
        "skipped": [asdict(each) for each in report.results.skipped],
        "rows": report.results.rows.to_dict(orient="records"),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def summary(report: Report) -> list[Table]:
    """For people to read: the main metrics of everyone's mean, a table per cohort and split."""
    rows = report.results.rows
    main = rows["metric"].str.startswith(_MAIN)
    tables = []
    everyone = rows[main & (rows["participant"] == MEAN)]
    for (cohort, split), means in everyone.groupby(["cohort", "split"], sort=False):
        wide = means.pivot_table("value", ["metric", "horizon_min"], "model", sort=False)
        table = Table(title=f"{cohort}, {split}")
        table.add_column("metric", overflow="fold")
        table.add_column("min", justify="right")
        for model in wide.columns:
            table.add_column(model, justify="right", no_wrap=True)
        for (metric, minutes), row in wide.iterrows():
            values = ("" if math.isnan(value) else f"{value:.4g}" for value in row)
            table.add_row(metric, str(minutes), *values)
        tables.append(table)
    return tables


def log_report(report: Report, path: Path, uri: str = TRACKING_URI) -> str:
    """Log a written report to MLflow: settings, means as metrics, the file and figures.

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
        "twin_version": report.twin_version,
        "data_fingerprint": report.data_fingerprint,
        "code_version": report.code_version,
        "skipped": len(report.results.skipped),
    }
    now = int(report.created.timestamp() * 1000)
    rows = report.results.rows
    metrics = [
        Metric(
            f"{row.split}.{row.model}.{row.metric}.{row.horizon_min}.{row.cohort}",
            row.value,
            now,
            0,
        )
        for row in rows[rows["participant"] == MEAN].itertuples()
    ]
    for batch in range(0, len(metrics), _METRICS_PER_BATCH):
        client.log_batch(run, metrics=metrics[batch : batch + _METRICS_PER_BATCH])
    client.log_batch(run, params=[Param(key, str(value)) for key, value in settings.items()])
    client.log_artifact(run, str(path))
    for name, drawn in report.results.figures.items():
        client.log_figure(run, drawn, name)
    client.set_terminated(run)
    return str(run)
