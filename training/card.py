"""The model card, written from evaluation reports: no figure in it is typed by hand."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from hybridtwin.errors import ModelError
from hybridtwin.twin_config import TwinConfig
from training.metrics import ALL

_METRICS: Final = {
    "rmse": "RMSE, mg/dL",
    "mae": "MAE, mg/dL",
    "crps": "CRPS, mg/dL",
    "coverage_80": "coverage of the central 80 % interval",
    "auroc_below_70": "AUROC of a night below 70 mg/dL",
    "brier_below_70": "Brier score of a night below 70 mg/dL",
    "auroc_below_54": "AUROC of a night below 54 mg/dL",
    "brier_below_54": "Brier score of a night below 54 mg/dL",
    "sign_right": "share of effects with the right sign",
    "ranking_error": "ranking error of interventions",
    "difference_error": "error of the difference between two futures, over its size",
    "sensitivity_coverage_90": "share of days with the true sensitivity inside its 90 % band",
    "sensitivity_error": "error of the sensitivity, as a share of it",
    "fall_seen_24h": "share of falls of the sensitivity seen within a day",
    "false_falls_per_week": "falls seen that were none, per week",
    "meal_told": "share of meals without a log that are told",
    "meal_false_per_3_days": "meals told that were none, in three days",
    "missed_bolus_told": "share of missed boluses that are told",
    "missed_bolus_false_per_3_days": "missed boluses told that were none, in three days",
    "site_failure_told": "share of failing infusion sites that are told",
    "exercise_told": "share of bouts of exercise without a log that are told",
}
_MG_DL: Final = ("rmse", "mae", "crps")
_ERRORS: Final = (
    "rmse",
    "crps",
    "brier_below_70",
    "brier_below_54",
    "ranking_error",
    "difference_error",
)
_HEAD: Final = """# Model card: the population twin in the box

Version {version}. Decision support for research, not a certified medical device.

## What it is

A glucose-insulin compartment model with an encoder, a latent neural ODE for what its equations
miss, a head for the spread, and boosted trees that correct open forecasts by what they usually miss
and say how likely the lows of the coming night are. It forecasts up to twelve hours ahead, answers
what-if for doses and meals, and is the start from which personal twins are fitted.

## What it learnt from

Three openly licensed sets of recordings of adults with type 1 diabetes, each under
[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/):

- **AZT1D**, 21 participants, closed loop: Khamesian et al., IEEE BSN 2025,
  [doi:10.17632/gk9m674wcx.1](https://doi.org/10.17632/gk9m674wcx.1)
- **T1D-UOM**, 14 participants, pumps and injections: Alsuhaymi et al., Scientific Data 12:1379
  (2025), [doi:10.5281/zenodo.15806142](https://doi.org/10.5281/zenodo.15806142)
- **HUPA-UCM**, 21 participants: Hidalgo et al., Data in Brief 55:110559 (2024),
  [doi:10.17632/3hbcscwz44.1](https://doi.org/10.17632/3hbcscwz44.1)

They were imported with the project's importers, which mend and count the faults of the files. Only
the first 80 % of each participant's time was read in training, of which the last tenth served to
watch progress and to calibrate, and in the end was learnt from by the trees. Changes made to the
data: unit conversion, removal of duplicates and of impossible values, a 5-minute grid; see the
importers.

Beside the recordings it learnt from virtual people, for each of whom two futures from one moment
are known: what happened, and what would have happened with one dose or meal changed. They are drawn
anew, with the group means and covariances of the 30 published patients of the UVA/Padova simulator;
these 30 themselves, on whom cause is scored, and their futures were never seen.

## How it was scored

By the protocols named below, which stand in `configs/protocols/`. All models of a table were scored
on the same windows. Figures are means over participants, in brackets the 95 % interval over
resampled participants. `twin` is this model as shipped, `twin-current` the same with what it missed
of each person before put right, as it is served, `twin-personal` the one fine-tuned on what the
protocol gives to learn from, `twin-personal-current` both, as it is served to whom a twin was
fitted. People never seen (`unseen`, `cold-start`, `assimilation-real`) are scored by twins of
folds, trained by the same recipe without them.
"""
_TAIL: Final = """
## Limits

- Adults with type 1 diabetes only. Children, pregnancy, type 2 diabetes: untested on real people.
- Effects of doses and meals have the right sign by construction; their size is a population's
  until a personal twin is fitted, and closed-loop data confound it.
- Rare situations rest on physiology alone, with priors from published studies: the recordings hold
  hardly any rescue glucagon, alcohol, illness, ultra-rapid insulin or stated sprint.
- A whole night ahead lows are ranked little better than by a person's own past rate of low nights.
- Two thirds of the training windows are 2 h long, one third 8 h: trust long horizons less.
- HUPA-UCM's glucose was interpolated by its authors to 5 minutes; it is learnt from and scored at
  the original readings only.
"""


def write_card(
    twin: TwinConfig, reports: Sequence[Path], out: Path, before: Sequence[Path] = ()
) -> Path:
    """Write the card of a twin from the reports of `hybridtwin evaluate`.

    Args:
        twin: Whose card.
        reports: JSON files, each a protocol's.
        out: Where it goes.
        before: Reports of the version before, by the same protocols on the same records.

    Raises:
        ModelError: A report of the version before has no match among the reports.
    """
    loaded = [json.loads(path.read_text()) for path in reports]
    parts = [_HEAD.format(version=twin.version)]
    parts += [_section(report) for report in loaded]
    if before:
        parts.append("\n## Against the version before\n")
    parts += [_comparison(json.loads(path.read_text()), loaded, path) for path in before]
    parts.append(_TAIL)
    out.write_text("".join(parts))
    return out


def _section(report: dict[str, Any]) -> str:
    protocol = report["protocol"]
    means = pd.DataFrame(report["rows"]).query("participant == 'mean'")
    lines = [
        f"\n### {protocol['name']}\n\nCode {report['code_version']}, {report['created']}, "
        f"records {report['data_fingerprint'][:12]}.\n"
    ]
    if means["cohort"].nunique() == 2:  # one, and all of that one
        means = means[means["cohort"] != ALL]
    for (split, cohort), rows in means.groupby(["split", "cohort"], sort=False):
        people = int(rows["participants"].max())
        lines.append(f"\n#### {split}: {cohort}, {people} participants\n")
        lines += [_table(rows, metric) for metric in _METRICS if (rows["metric"] == metric).any()]
    if report["skipped"]:
        names = ", ".join(each["participant"] for each in report["skipped"])
        lines.append(f"\nNot scored for lack of windows: {names}.\n")
    return "".join(lines)


def _comparison(before: dict[str, Any], reports: Sequence[dict[str, Any]], path: Path) -> str:
    keys = ["split", "cohort", "model", "metric", "horizon_min"]
    chosen = f"participant == 'mean' and metric in {_ERRORS} and model.str.startswith('twin')"

    def cells(report: dict[str, Any]) -> pd.DataFrame:
        return pd.DataFrame(report["rows"]).query(chosen).set_index(keys)[["value", "windows"]]

    def identity(report: dict[str, Any]) -> tuple[str, str]:
        return report["protocol"]["name"], report["data_fingerprint"]

    now = next((each for each in reports if identity(each) == identity(before)), None)
    alike = pd.DataFrame()
    if now is not None:
        both = cells(now).merge(cells(before), on=keys, suffixes=("", "_before"))
        # As many windows on the same records are the same windows.
        alike = both[both["windows"] == both["windows_before"]]
    if alike.empty:
        raise ModelError.of(
            str(path),
            "it was scored on other records or other windows, or by another protocol",
            "Name a report of the same `hybridtwin evaluate` for the version before.",
        )
    ratio = (
        (alike["value"] / alike["value_before"])
        .rename("value")
        .reset_index()
        .pivot_table(index=keys[:4], columns="horizon_min", values="value", sort=False)
        .sort_index(axis=1)
    )
    names = [", ".join(index) for index in ratio.index]
    numbers = [[_number(value) for value in row] for row in ratio.to_numpy()]
    return (
        f"\n{before['protocol']['name']}: error of this version over that of code "
        f"{before['code_version']} ({before['created'][:10]}), on the same windows; below 1 is "
        "better.\n" + _markdown("split, cohort, model, metric", list(ratio.columns), names, numbers)
    )


def _table(rows: pd.DataFrame, metric: str) -> str:
    digits = 2 if metric in _MG_DL else 3
    chosen = rows[rows["metric"] == metric].set_index(["model", "horizon_min"])
    models = list(chosen.index.get_level_values("model").unique())
    horizons = sorted(chosen.index.get_level_values("horizon_min").unique())
    cells = [
        [
            _interval(chosen.loc[(model, horizon)], digits)
            if (model, horizon) in chosen.index
            else ""
            for horizon in horizons
        ]
        for model in models
    ]
    return _markdown(_METRICS[metric], horizons, models, cells)


def _interval(row: "pd.Series[Any]", digits: int) -> str:
    value, low, high = (f"{row[key]:.{digits}f}" for key in ("value", "ci_low", "ci_high"))
    return f"{value} ({low} to {high})"


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f}"


def _markdown(
    corner: str, horizons_min: Sequence[int], names: Sequence[str], cells: Sequence[Sequence[str]]
) -> str:
    lines = [
        [corner, *(f"{horizon} min" if horizon else "now" for horizon in horizons_min)],
        ["---"] * (len(horizons_min) + 1),
        *([name, *row] for name, row in zip(names, cells, strict=True)),
    ]
    return "\n" + "".join("| " + " | ".join(line) + " |\n" for line in lines)
