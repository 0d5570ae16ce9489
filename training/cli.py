"""The commands of ML engineers: train, personalise, evaluate, promote and the like."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hybridtwin.config import read_config
from hybridtwin.native import native_walk
from hybridtwin.record_files import load_record, record_folders
from hybridtwin.registry import TRACKING_URI, load_twin, save_twin, twin_folder

Records = Annotated[
    list[Path], typer.Option("--records", metavar="DIR", help="Imported records; may be repeated.")
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="SOURCE",
        help="Twin to start from: a folder or models:/hybridtwin-population@champion. "
        "Without it, the one in the box.",
    ),
]

Statistics = Annotated[
    Path,
    typer.Option("--statistics", metavar="YAML", help="How what forecasts miss is learnt."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        epilog="Any setting can be changed on the way: "
        "hybridtwin train --config configs/population.yaml --trainer.max_epochs 2",
    )(train)
    app.command(epilog="Example: hybridtwin calibrate --records records --out twins/calibrated")(
        calibrate
    )
    app.command(epilog="Example: hybridtwin personalise --records records --out twins")(personalise)
    app.command(
        epilog="Example: hybridtwin evaluate --records records "
        "--protocol configs/protocols/last-fifth.yaml --out report.json"
    )(evaluate)
    app.command(
        epilog="Example: hybridtwin card --report report.json "
        "--out hybridtwin/data/population/MODEL_CARD.md"
    )(card)
    app.command(
        epilog="Example: hybridtwin promote --challenger new/last-fifth.json "
        "--champion old/last-fifth.json --challenger new/night.json --champion old/night.json"
    )(promote)
    app.command(epilog="Example: hybridtwin drift --records records --out drift.json")(drift)
    app.command(epilog="Example: hybridtwin search --config configs/search.yaml")(search)


def train(
    context: typer.Context,
    config: Annotated[Path, typer.Option(metavar="YAML", help="See configs/population.yaml.")],
    statistics: Statistics = Path("configs/output-statistics.yaml"),
    resume: Annotated[
        Path | None, typer.Option(metavar="CKPT", help="Go on from this checkpoint.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the finished twin goes.")] = Path(
        "checkpoints/population/twin"
    ),
) -> None:
    """Train the population twin across participants and data sets; logs to MLflow."""
    from training import train as run  # slow to import
    from training.output_statistics import StatisticsSettings

    settings = read_config(statistics, StatisticsSettings)
    run.train(config, settings, resume, out, context.args)


def calibrate(
    records: Records,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the calibrated twin goes.")],
    model: Model = None,
    statistics: Statistics = Path("configs/output-statistics.yaml"),
) -> None:
    """Learn anew what a trained twin's forecasts miss, and how wide its spread must be."""
    from training import output_statistics as run

    loaded = [load_record(home) for folder in records for home in record_folders(folder)]
    twin = replace(load_twin(model), walk=native_walk())
    settings = read_config(statistics, run.StatisticsSettings)
    Console().print(f"Twin written to {run.calibrate(twin, loaded, settings, out)}")


def personalise(
    records: Records,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the twins go, a folder each.")],
    model: Model = None,
    config: Annotated[Path, typer.Option(metavar="YAML", help="How to fine-tune.")] = Path(
        "configs/personal.yaml"
    ),
    log: Annotated[bool, typer.Option(help="Log to MLflow.")] = True,
) -> None:
    """Fit a twin to each person: one patient's folder, or a whole folder of them at once."""
    from training import personalise as run

    loaded = [load_record(home) for folder in records for home in record_folders(folder)]
    settings = read_config(config, run.PersonalSettings)
    twin = load_twin(model)
    fits = run.personalise_and_log(twin, model, loaded, settings, TRACKING_URI if log else None)
    table = Table("participant", "loss before", "loss after", "outcome")
    for fit in fits:
        save_twin(fit.twin, out / fit.participant)
        outcome = "personal twin" if fit.kept else "population twin kept: the fit did not help"
        table.add_row(fit.participant, f"{fit.loss_before:.3f}", f"{fit.loss_after:.3f}", outcome)
    console = Console()
    console.print(table)
    console.print(f"{len(fits)} twins in {out}")


def evaluate(
    protocol: Annotated[Path, typer.Option(metavar="YAML", help="See configs/protocols/.")],
    out: Annotated[Path, typer.Option(metavar="JSON", help="Where the report goes.")],
    records: Annotated[
        list[Path] | None,
        typer.Option("--records", metavar="DIR", help="Imported records; may be repeated."),
    ] = None,
    model: Model = None,
    fold_models: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="For people never seen: twins trained without each fold, in fold-0, fold-1, ...",
        ),
    ] = None,
    config: Annotated[
        Path, typer.Option(metavar="YAML", help="How twin-personal is fine-tuned.")
    ] = Path("configs/personal.yaml"),
    log: Annotated[bool, typer.Option(help="Log to MLflow.")] = True,
) -> None:
    """Score the twin and its peers on the same windows, by a protocol."""
    from rich.progress import Progress

    from training import evaluate as run
    from training.personalise import PersonalSettings
    from training.twins import load_twins

    chosen = read_config(protocol, run.Protocol).root
    loaded = [load_record(home) for folder in records or [] for home in record_folders(folder)]
    twins = load_twins(model, fold_models, read_config(config, PersonalSettings))
    console = Console()
    with Progress(console=console, transient=True) as progress:
        report = run.evaluate(loaded, chosen, twins, progress)
    run.write_report(report, out)
    if log:
        run.log_report(report, out)
    for table in run.summary(report):
        console.print(table)
    for each in report.results.skipped:
        console.print(f"skipped {each.participant}: {each.reason}")
    console.print(f"Report in {out}")


def card(
    report: Annotated[
        list[Path], typer.Option(metavar="JSON", help="From evaluate; may be repeated.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the card goes.")],
    before: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="JSON", help="Report of the version before, to compare with; may be repeated."
        ),
    ] = None,
    model: Model = None,
) -> None:
    """Write a model card from evaluation reports."""
    from training.card import write_card

    written = write_card(load_twin(model).config, report, out, before or ())
    Console().print(f"Model card in {written}")


def promote(
    challenger: Annotated[
        list[Path],
        typer.Option(
            metavar="JSON", help="The challenger's report, from evaluate; one a protocol."
        ),
    ],
    champion: Annotated[
        list[Path], typer.Option(metavar="JSON", help="The champion's report; one a protocol.")
    ],
    config: Annotated[Path, typer.Option(metavar="YAML", help="What is compared.")] = Path(
        "configs/promotion.yaml"
    ),
    box: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write twin and card here too, such as hybridtwin/data/population."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare only.")] = False,
) -> None:
    """Make the challenger champion, unless it is worse at anything that counts."""
    from training import gates
    from training import promote as run

    settings = read_config(config, gates.PromotionSettings)
    reports = gates.read_reports(champion), gates.read_reports(challenger)
    findings = gates.compare(*reports, settings)
    share = f"{settings.confidence:.0%}"
    table = Table("gate", "where", "metric")
    for column in ("champion", "challenger", f"worse by ({share} interval)"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    for each in findings:
        figures = ["", "", ""]
        if each.verdict != "missing":
            figures = [
                f"{each.champion:.3f}",
                f"{each.challenger:.3f}",
                f"{each.worse_by:+.3f} ({each.low:+.3f} to {each.high:+.3f})",
            ]
        table.add_row(each.gate, each.where, each.metric, *figures, each.verdict)
    console = Console()
    console.print(table)
    against = [each for each in findings if not each.passed]
    if against:
        console.print(f"Refused: {len(against)} of {len(findings)} comparisons speak against it.")
        raise typer.Exit(1)
    if dry_run:
        console.print("Nothing speaks against it; nothing was changed.")
        return
    version = run.promote(challenger, champion, box)
    console.print(f"Version {version} is champion; the one before is called previous.")


def drift(
    records: Records,
    model: Model = None,
    days: Annotated[int, typer.Option(min=1, help="How many, up to the last reading.")] = 14,
    config: Annotated[Path, typer.Option(metavar="YAML", help="How far is too far.")] = Path(
        "configs/drift.yaml"
    ),
    out: Annotated[
        Path | None, typer.Option(metavar="JSON", help="Where every finding goes.")
    ] = None,
    learn: Annotated[
        bool,
        typer.Option(
            "--learn",
            help="Instead, write the reference of a twin that learnt from these records beside it.",
        ),
    ] = False,
) -> None:
    """Hold recent days, and the twin's errors on them, against those at training time."""
    from training import drift as run
    from training.batch import learning_part
    from training.metrics import ALL

    loaded = [load_record(home) for folder in records for home in record_folders(folder)]
    settings = read_config(config, run.DriftSettings)
    twin, console = load_twin(model), Console()
    if learn:
        part = learning_part(loaded, settings.windows.learn_fraction)
        written = run.write_reference(run.reference(twin, part, settings), twin_folder(model))
        console.print(f"Reference in {written}")
        return
    findings = run.drift(twin, run.read_reference(model), loaded, days, settings)
    if out is not None:
        run.write_findings(findings, out)
    table = Table(
        "participant", "channel", "days", "at training", "recently", "distance", "verdict"
    )
    for each in findings:
        if each.participant == ALL or each.verdict == "drifting":
            figures = each.at_training, each.recently, each.distance
            cells = ("" if value is None else f"{value:.4g}" for value in figures)
            table.add_row(each.participant, each.channel, str(each.days), *cells, each.verdict)
    console.print(table)
    for verdict, count in Counter(each.verdict for each in findings).items():
        console.print(f"{verdict}: {count} of {len(findings)}")


def search(
    config: Annotated[Path, typer.Option(metavar="YAML", help="What to try.")] = Path(
        "configs/search.yaml"
    ),
) -> None:
    """Search for settings of the population twin; running it again goes on."""
    from training import search as run  # slow to import

    study = run.search(read_config(config, run.SearchSettings))
    lines = run.best_yaml(study)
    console = Console()
    console.print(f"Best of {len(study.trials)} trials: val/rmse {study.best_value:.3f} mg/dL.")
    console.print("For configs/population.yaml:\n")
    console.print(lines, markup=False, highlight=False, end="")
