"""The commands of ML engineers: train, personalise, evaluate."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hybridtwin.record_files import load_record, record_folders
from hybridtwin.registry import TRACKING_URI, load_twin, save_twin
from training.config import read_config

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


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        epilog="Any setting can be changed on the way: "
        "hybridtwin train --config configs/population.yaml --trainer.max_epochs 2",
    )(train)
    app.command(epilog="Example: hybridtwin personalise --records records --out twins")(personalise)
    app.command(
        epilog="Example: hybridtwin evaluate --records records "
        "--protocol configs/protocols/last-fifth.yaml --out report.json"
    )(evaluate)
    app.command(
        epilog="Example: hybridtwin card --report report.json "
        "--out hybridtwin/data/population/MODEL_CARD.md"
    )(card)


def train(
    context: typer.Context,
    config: Annotated[Path, typer.Option(metavar="YAML", help="See configs/population.yaml.")],
    resume: Annotated[
        Path | None, typer.Option(metavar="CKPT", help="Go on from this checkpoint.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the finished twin goes.")] = Path(
        "checkpoints/population/twin"
    ),
) -> None:
    """Train the population twin across participants and data sets; logs to MLflow."""
    from training import train as run  # slow to import

    run.train(config, resume, out, context.args)


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
    records: Records,
    protocol: Annotated[Path, typer.Option(metavar="YAML", help="See configs/protocols/.")],
    out: Annotated[Path, typer.Option(metavar="JSON", help="Where the report goes.")],
    model: Model = None,
    config: Annotated[
        Path, typer.Option(metavar="YAML", help="How twin-personal is fine-tuned.")
    ] = Path("configs/personal.yaml"),
    log: Annotated[bool, typer.Option(help="Log to MLflow.")] = True,
) -> None:
    """Score the twin and its peers on the same windows, by a protocol."""
    from functools import partial

    from rich.progress import Progress

    from training import evaluate as run
    from training import forecasters
    from training.personalise import PersonalSettings
    from training.windows import FitFunction

    rule = read_config(protocol, run.Protocol)
    loaded = [load_record(home) for folder in records for home in record_folders(folder)]
    twin = load_twin(model)
    settings = read_config(config, PersonalSettings)
    models: dict[str, FitFunction] = {
        "twin": lambda learn: forecasters.population(twin),
        "twin-personal": partial(forecasters.personal, twin, settings),
    }
    console = Console()
    with Progress(console=console, transient=True) as progress:
        report = run.evaluate(loaded, rule, models, progress)
    run.write_report(report, out)
    if log:
        run.log_report(report, out)
    means = report.rows[(report.rows["participant"] == "mean") & (report.rows["metric"] == "rmse")]
    for cohort, rows in means.groupby("cohort", sort=False):
        table = Table("model", title=f"RMSE in mg/dL, {cohort}, mean over participants")
        wide = rows.pivot_table(index="model", columns="horizon_min", values="value", sort=False)
        for minutes in wide.columns:
            table.add_column(f"{minutes} min", justify="right")
        for name, row in wide.iterrows():
            table.add_row(str(name), *(f"{value:.2f}" for value in row))
        console.print(table)
    for each in report.skipped:
        console.print(f"skipped {each.participant}: {each.reason}")
    console.print(f"Report in {out}")


def card(
    report: Annotated[
        list[Path], typer.Option(metavar="JSON", help="From evaluate; may be repeated.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the card goes.")],
    before: Annotated[
        Path | None,
        typer.Option(metavar="JSON", help="Report of the version before, to compare with."),
    ] = None,
    model: Model = None,
) -> None:
    """Write a model card from evaluation reports."""
    from training.card import write_card

    written = write_card(load_twin(model).config, report, out, before)
    Console().print(f"Model card in {written}")
