"""The model card, written from evaluation reports: no figure in it is typed by hand."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from hybridtwin.errors import ModelError
from hybridtwin.twin import TwinConfig

_METRICS: Final = {
    "rmse": "RMSE, mg/dL",
    "mae": "MAE, mg/dL",
    "crps": "CRPS, mg/dL",
    "coverage_80": "coverage of the central 80 % interval",
}
_HEAD: Final = """# Model card: the population twin in the box

Version {version}. Decision support for research, not a certified medical device.

## What it is

A glucose-insulin compartment model with an encoder, a latent neural ODE for what its equations
miss, and a head for the spread. It forecasts up to twelve hours ahead, answers what-if for doses
and meals, and is the start from which personal twins are fitted.

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
watch progress. Changes made to the data: unit conversion, removal of duplicates and of impossible
values, a 5-minute grid; see the importers.

## How it was scored
"""
_TAIL: Final = """
## Limits

- Adults with type 1 diabetes only. Children, pregnancy, type 2 diabetes: untested on real people.
- Effects of doses and meals have the right sign by construction; their size is a population's
  until a personal twin is fitted, and closed-loop data confound it.
- Rare situations rest on physiology alone, with priors from published studies: the recordings hold
  hardly any rescue glucagon, alcohol, illness, ultra-rapid insulin or stated sprint.
- Most training windows are 2 h long, a fifth of the batches 8 h: trust long horizons less.
- HUPA-UCM's glucose was interpolated by its authors to 5 minutes; it is learnt from and scored at
  the original readings only.
"""


def write_card(
    twin: TwinConfig, reports: Sequence[Path], out: Path, before: Path | None = None
) -> Path:
    """Write the card of a twin from the reports of `hybridtwin evaluate`.

    Args:
        twin: Whose card.
        reports: JSON files, each a protocol's.
        out: Where it goes.
        before: The first report's forerunner: the version before, scored on the same records.

    Raises:
        ModelError: The forerunner was scored on other records or by another protocol.
    """
    loaded = [json.loads(path.read_text()) for path in reports]
    parts = [_HEAD.format(version=twin.version)]
    parts += [_section(report) for report in loaded]
    if before is not None:
        parts.append(_comparison(json.loads(before.read_text()), loaded[0], before))
    parts.append(_TAIL)
    out.write_text("".join(parts))
    return out


def _section(report: dict[str, Any]) -> str:
    protocol = report["protocol"]
    means = pd.DataFrame(report["rows"]).query("participant == 'mean'")
    lines = [
        f"\nProtocol `{protocol['name']}`, code {report['code_version']}, {report['created']}, "
        f"records {report['data_fingerprint'][:12]}. Peers learnt from and were scored on the same "
        "windows; open plan, nothing of the future known. Mean over participants, in brackets the "
        "95 % interval over resampled participants. `twin` is this model as shipped, "
        "`twin-personal` fine-tuned on each participant's first 80 %.\n"
    ]
    for cohort, rows in means.groupby("cohort", sort=False):
        people = int(rows["participants"].max())
        lines.append(f"\n### {cohort}, {people} participants\n")
        lines += [_table(rows, metric) for metric in _METRICS if (rows["metric"] == metric).any()]
    if report["skipped"]:
        names = ", ".join(each["participant"] for each in report["skipped"])
        lines.append(f"\nNot scored for lack of windows: {names}.\n")
    return "".join(lines)


def _comparison(before: dict[str, Any], now: dict[str, Any], path: Path) -> str:
    same = ("data_fingerprint", "protocol")
    if any(before[key] != now[key] for key in same):
        raise ModelError.of(
            str(path),
            "it was scored on other records, or by another protocol",
            "Name a report of the same `hybridtwin evaluate` for the version before.",
        )
    keys = ["cohort", "model", "metric", "horizon_min"]
    chosen = "participant == 'mean' and metric in ('rmse', 'crps') and model.str.startswith('twin')"
    old, new = (
        pd.DataFrame(report["rows"]).query(chosen).set_index(keys)["value"]
        for report in (before, now)
    )
    ratio = (
        (new / old)
        .reset_index()
        .pivot_table(index=keys[:3], columns="horizon_min", values="value", sort=False)
    )
    horizons = [f"{horizon} min" for horizon in ratio.columns]
    lines = [
        "\n## Against the version before\n",
        f"Error of this version over that of code {before['code_version']} "
        f"({before['created'][:10]}), on the same windows; below 1 is better.\n",
        "| " + " | ".join(["cohort, model, metric", *horizons]) + " |",
        "|---" * (len(horizons) + 1) + "|",
    ]
    for names, row in ratio.iterrows():
        cells = [f"{value:.3f}" for value in row]
        lines.append("| " + " | ".join([", ".join(names), *cells]) + " |")
    return "\n".join(lines) + "\n"


def _table(rows: pd.DataFrame, metric: str) -> str:
    chosen = rows[rows["metric"] == metric]
    horizons = sorted(chosen["horizon_min"].unique())
    digits = 3 if metric == "coverage_80" else 2
    lines = [
        "",
        "| " + " | ".join([_METRICS[metric], *(f"{h} min" for h in horizons)]) + " |",
        "|---" * (len(horizons) + 1) + "|",
    ]
    for model, group in chosen.groupby("model", sort=False):
        cells = [
            f"{row.value:.{digits}f} ({row.ci_low:.{digits}f} to {row.ci_high:.{digits}f})"
            for row in group.sort_values("horizon_min").itertuples()
        ]
        lines.append("| " + " | ".join([str(model), *cells]) + " |")
    return "\n".join(lines) + "\n"
