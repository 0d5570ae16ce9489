"""The commands that look back: agp, patterns."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hybridtwin import tables
from hybridtwin.ask import read_person, read_time
from hybridtwin.commands import Json, Now, Participant, Source, Unit, draw, write
from hybridtwin.config import read_config
from hybridtwin.patterns.pattern import Pattern
from hybridtwin.patterns.registry import find_patterns
from hybridtwin.patterns.settings import PatternSettings
from hybridtwin.plot_agp import agp_chart


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        epilog="Example: hybridtwin agp demo/records --participant virtual-adult-04 --out agp.png"
    )(agp)
    app.command(epilog="Example: hybridtwin patterns demo/records --participant virtual-adult-04")(
        patterns
    )


def agp(
    source: Source,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the picture goes, as PNG.")],
    participant: Participant = None,
    now: Now = None,
    unit: Unit = "mg/dL",
) -> None:
    """Draw the ambulatory glucose profile of the last fourteen days, with its figures."""
    record = read_person(source, participant)
    end = read_time(now, "--now") if now else None
    draw(out, agp_chart(record, end, unit))
    Console().print(f"Picture in {out}", highlight=False, markup=False, soft_wrap=True)


def patterns(
    source: Source,
    participant: Participant = None,
    now: Now = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="YAML", help="What is looked for; see configs/patterns.yaml."),
    ] = None,
    json_file: Json = None,
) -> None:
    """Look for patterns in the last weeks: lows, highs, boluses, sensitivity, exercise."""
    record = read_person(source, participant)
    end = read_time(now, "--now") if now else None
    settings = read_config(config, PatternSettings) if config else PatternSettings()
    looked_for = find_patterns(record, end, settings)
    _say(looked_for, settings)
    content = [pattern.model_dump(mode="json") for pattern in looked_for]
    write(json_file, json.dumps(content, indent=2))


def _say(looked_for: Sequence[Pattern], settings: PatternSettings) -> None:
    console = Console()
    found = [pattern for pattern in looked_for if pattern.status == "found"]
    if found:
        console.print(tables.patterns(found))
    none = [tables.pattern_name(each) for each in looked_for if each.status == "not found"]
    lines = [f"Not found: {', '.join(none)}." if none else "Nothing could be looked for."]
    lines += [
        f"Unknown: {tables.pattern_name(each)}: {each.reason}."
        for each in looked_for
        if each.status == "unknown"
    ]
    lines.append(
        f"Found is what chance makes in at most {settings.chance:.0%} of looks at a person, all "
        "kinds taken together, as far as days are as the tests suppose; see the review-patterns "
        "protocol for what they miss."
    )
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
