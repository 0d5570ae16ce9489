"""Importers: one for each source, and the registry that finds the right one.

An importer reads files as people have them and yields Records. Whatever it mends, drops or finds
missing it counts in `Provenance.notes`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hybridtwin.errors import ImportFormatError
from hybridtwin.importers import azt1d, hupa_ucm, nightscout, t1d_uom
from hybridtwin.importers._common import csv_files, header
from hybridtwin.record import Record


@dataclass(frozen=True)
class Importer:
    """One source of records.

    Attributes:
        name: What the command line calls it.
        summary: What it reads, in a few words.
        recognises: Whether a path holds such files, judging by their content.
        read: The records at a path, one for each person.
    """

    name: str
    summary: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path], Iterator[Record]]


IMPORTERS: dict[str, Importer] = {
    importer.name: importer
    for importer in (
        Importer(
            "azt1d",
            "AZT1D: Tandem Control-IQ and Dexcom G6, Arizona",
            azt1d.recognises,
            azt1d.read,
        ),
        Importer(
            "t1d_uom",
            "T1D-UOM: pump or pens, diary and watch, Manchester",
            t1d_uom.recognises,
            t1d_uom.read,
        ),
        Importer(
            "hupa_ucm",
            "HUPA-UCM: FreeStyle Libre and Fitbit, Madrid",
            hupa_ucm.recognises,
            hupa_ucm.read,
        ),
        Importer(
            "nightscout",
            "Nightscout: entries, treatments and profile as JSON",
            nightscout.recognises,
            nightscout.read,
        ),
    )
}


def find(path: Path) -> Importer:
    """The importer whose files a path holds.

    Raises:
        ImportFormatError: The path is missing or empty, or no importer or several know it.
    """
    _check_present(path)
    found = [importer for importer in IMPORTERS.values() if importer.recognises(path)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(importer.name for importer in found)
        raise ImportFormatError.of(
            str(path), f"holds files of several formats ({names})", "Name the format to read."
        )
    raise ImportFormatError.of(
        str(path),
        f"is of no known format: {_looks_like(path)}",
        f"Known formats are {', '.join(IMPORTERS)}; give one of their files or folders.",
    )


def read(path: Path, format: str | None = None) -> Iterator[Record]:  # noqa: A002
    """The records at a path.

    Args:
        path: A file or folder.
        format: A key of `IMPORTERS`; None finds it from the files' content.

    Raises:
        ImportFormatError: The path does not hold what the format needs.
    """
    if format is None:
        return find(path).read(path)
    if format not in IMPORTERS:
        raise ImportFormatError.of(
            format, "is no known format", f"Known formats are {', '.join(IMPORTERS)}."
        )
    _check_present(path)
    importer = IMPORTERS[format]
    if not importer.recognises(path):
        raise ImportFormatError.of(
            str(path),
            f"holds nothing of the format {format}: {_looks_like(path)}",
            "Give the right path, or let the format be found with: auto.",
        )
    return importer.read(path)


def _check_present(path: Path) -> None:
    if not path.exists():
        raise ImportFormatError.of(str(path), "does not exist", "Check the path.")
    if path.is_dir() and not any(path.iterdir()):
        raise ImportFormatError.of(str(path), "the folder is empty", "Check the path.")
    if path.is_file() and path.stat().st_size == 0:
        raise ImportFormatError.of(str(path), "the file is empty", "Export or download it again.")


def _looks_like(path: Path) -> str:
    if path.is_dir():
        count = len(csv_files(path))
        return f"a folder with {count} CSV and {len(list(path.rglob('*.json')))} JSON files"
    line = header(path)
    if not line or not line.isprintable():
        return "a file that is not text"
    return f"a text file that begins {line[:60]!r}"
