"""Gates: where a challenger is worse than the champion, person by person."""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, field_validator

from hybridtwin.errors import ModelError
from training.metrics import ALL, MEAN, ROW, Array, bootstrap_mean

_SD_PER_WIDTH: Final = 1 / (2 * 1.96)  # the 95 % intervals of reports, read as a normal's


_LOSS: Final[dict[str, Callable[[Array], Array]]] = {
    **dict.fromkeys(("rmse", "mae", "crps", "brier", "ece"), np.positive),
    **dict.fromkeys(("ranking_error", "difference_error"), np.positive),
    "me": np.abs,
    "coverage_80": lambda share: np.abs(share - 0.8),
    **dict.fromkeys(("auroc", "sensitivity_at_1", "sign_right"), np.negative),
}
"""What is worse the greater it is, by the stem of a metric's name, as in `auroc_below_70`."""


@dataclass(frozen=True)
class Scores:
    """What a report of `hybridtwin evaluate` holds that is compared.

    Attributes:
        protocol: How it was done.
        twin_version: Which twin was scored.
        data_fingerprint: SHA-256 over the records.
        rows: Tidy rows, see `training.metrics.ROW`.
    """

    protocol: dict[str, Any]
    twin_version: str
    data_fingerprint: str
    rows: pd.DataFrame


Reports = Mapping[str, Scores]
"""By the name of their protocol."""


class Gate(BaseModel):
    """Metrics of a protocol in which a challenger must not be worse."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="Accuracy, calibration, night or cause.")
    protocol: str
    models: tuple[str, ...] = Field(("twin",), min_length=1, description="Of a report's.")
    metrics: tuple[str, ...] = Field(min_length=1)
    horizons_min: tuple[int, ...] = Field((), description="Empty: all that are reported.")
    cohorts: tuple[str, ...] = Field((), description="Empty: all that are reported.")

    @field_validator("metrics")
    @classmethod
    def _known(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [metric for metric in metrics if _stem(metric) is None]
        if unknown:
            raise ValueError(f"no metric {unknown[0]!r}; choose of {', '.join(_LOSS)}")
        return metrics


class PromotionSettings(BaseModel):
    """What a challenger must not lose; see configs/promotion.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    confidence: float = Field(0.95, gt=0, lt=1, description="Of the difference's interval.")
    bootstrap_samples: int = Field(4000, ge=100)
    seed: int = 0
    gates: tuple[Gate, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Finding:
    """One metric at one horizon in one cohort.

    Attributes:
        gate: Which asked for it.
        where: Model, protocol, cohort and horizon, in words.
        metric: Its name.
        champion: The mean over participants.
        challenger: The same of the challenger.
        worse_by: How much worse the challenger is, in the metric's unit; below 0 it is better.
        low: Lower end of the interval of `worse_by`.
        high: Upper end.
        verdict: `better`, `as good`, `worse` or `missing`.
    """

    gate: str
    where: str
    metric: str
    champion: float
    challenger: float
    worse_by: float
    low: float
    high: float
    verdict: str

    @property
    def passed(self) -> bool:
        """Whether it speaks for promotion, or at least not against it."""
        return self.verdict in ("better", "as good")


def read_reports(paths: Sequence[Path]) -> Reports:
    """Reports of `hybridtwin evaluate`, by protocol.

    Raises:
        ModelError: A file is not a report, or two are of the same protocol.
    """
    found: dict[str, Scores] = {}
    for path in paths:
        try:
            report = json.loads(path.read_text())
            name = report["protocol"]["name"]
            rows = pd.DataFrame(report["rows"])[list(ROW)]
            scores = Scores(
                report["protocol"], report["twin_version"], report["data_fingerprint"], rows
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError.of(
                str(path), f"no report ({error!r})", "Name files of: hybridtwin evaluate --out"
            ) from error
        if name in found:
            raise ModelError.of(str(path), f"a second report of {name}", "Name one per protocol.")
        found[name] = scores
    return found


def compare(champion: Reports, challenger: Reports, settings: PromotionSettings) -> list[Finding]:
    """Hold the challenger's reports against the champion's, gate by gate.

    Args:
        champion: Its reports.
        challenger: Its reports.
        settings: What is compared.

    Raises:
        ModelError: Reports of the same protocol were made on other records or by other rules.
    """
    findings = []
    for gate in settings.gates:
        pair = [each[gate.protocol] for each in (champion, challenger) if gate.protocol in each]
        if len(pair) < 2:
            findings += [_missing(gate, gate.protocol, metric) for metric in gate.metrics]
            continue
        _check_comparable(gate.protocol, *pair)
        for model in gate.models:
            rows = [report.rows[report.rows["model"] == model] for report in pair]
            findings += _gate(gate, model, rows, settings)
    return findings


def _stem(metric: str) -> str | None:
    return next((stem for stem in _LOSS if f"{metric}_".startswith(f"{stem}_")), None)


def _check_comparable(name: str, champion: Scores, challenger: Scores) -> None:
    for key, words in (("data_fingerprint", "other records"), ("protocol", "other rules")):
        if getattr(champion, key) != getattr(challenger, key):
            raise ModelError.of(
                name,
                f"champion and challenger were scored on {words}",
                "Evaluate both with the same records and protocol.",
            )


def _gate(
    gate: Gate, model: str, pair: Sequence[pd.DataFrame], settings: PromotionSettings
) -> list[Finding]:
    """Findings of one gate, from the champion's and the challenger's rows of one model."""
    rows = [each[each["metric"].isin(gate.metrics)] for each in pair]
    reported = pd.concat(rows)
    findings = []
    for metric in gate.metrics:
        its = reported[reported["metric"] == metric]
        if its.empty:
            findings.append(_missing(gate, f"{model}, {gate.protocol}", metric))
        for split, cohort, horizon in itertools.product(
            its["split"].unique(),
            gate.cohorts or its["cohort"].unique(),
            gate.horizons_min or its["horizon_min"].unique(),
        ):
            name = gate.protocol if split == gate.protocol else f"{gate.protocol} ({split})"
            where = f"{model}, {name}, {cohort}, {horizon} min"
            champion, challenger = (
                _cell(each[each["split"] == split], metric, cohort, horizon) for each in rows
            )
            if MEAN not in champion.index or MEAN not in challenger.index:
                findings.append(_missing(gate, where, metric))
            else:
                findings.append(_finding(gate, where, metric, champion, challenger, settings))
    return findings


def _cell(rows: pd.DataFrame, metric: str, cohort: str, horizon_min: int) -> pd.DataFrame:
    """The mean and everybody in it, by participant."""
    member = (rows["cohort"] == cohort) | ((cohort == ALL) & (rows["participant"] != MEAN))
    chosen = rows[(rows["metric"] == metric) & (rows["horizon_min"] == horizon_min) & member]
    return chosen.set_index("participant")


def _missing(gate: Gate, where: str, metric: str) -> Finding:
    nan = float("nan")
    return Finding(gate.name, where, metric, nan, nan, nan, nan, nan, "missing")


def _finding(
    gate: Gate,
    where: str,
    metric: str,
    champion: pd.DataFrame,
    challenger: pd.DataFrame,
    settings: PromotionSettings,
) -> Finding:
    if not champion["windows"].sort_index().equals(challenger["windows"].sort_index()):
        raise ModelError.of(
            where,
            "champion and challenger were scored on other windows or other people",
            "Evaluate both with this version of the code.",
        )
    loss = _LOSS[_stem(metric) or metric]
    (before, drawn_before), (after, drawn_after) = _means((champion, challenger), settings)
    tail = (1 - settings.confidence) / 2
    ends = np.quantile(loss(drawn_after) - loss(drawn_before), (tail, 1 - tail))
    low, high = (float(end) for end in ends)
    return Finding(
        gate=gate.name,
        where=where,
        metric=metric,
        champion=before,
        challenger=after,
        worse_by=float(loss(np.array(after)) - loss(np.array(before))),
        low=low,
        high=high,
        verdict="worse" if low > 0 else "better" if high < 0 else "as good",
    )


def _means(cells: Sequence[pd.DataFrame], settings: PromotionSettings) -> list[tuple[float, Array]]:
    """The mean of each cell, and (samples,) bootstrapped means.

    The same people are drawn for all, so that what differs between people does not blur what
    differs between models. A figure of one person alone, or pooled over people as an AUROC is, is
    drawn from its own interval.
    """
    samples, generator = settings.bootstrap_samples, np.random.default_rng(settings.seed)
    found = []
    for cell in cells:
        people = cell.drop(MEAN)["value"].sort_index().to_numpy(dtype=float)
        if len(people) > 1:
            same = np.random.default_rng(settings.seed)
            found.append((float(people.mean()), bootstrap_mean(people, samples, same)))
        else:
            pooled = cell.loc[MEAN]
            sd = (pooled["ci_high"] - pooled["ci_low"]) * _SD_PER_WIDTH
            mean = float(pooled["value"])
            found.append((mean, generator.normal(mean, sd, samples)))
    return found
