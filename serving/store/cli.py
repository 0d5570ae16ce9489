"""`hybridtwin database`: tables, keys, the audit log, and records for research."""

import os
import uuid
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from serving.access.caller import Role

if TYPE_CHECKING:
    from serving.store.database import Database

commands = typer.Typer(no_args_is_help=True, help="Care for the service's database.")
_ACTOR: Final = "command line"
_Url = Annotated[
    str,
    typer.Option(
        "--database",
        metavar="URL",
        envvar="HYBRIDTWIN_DATABASE",
        help="sqlite:///path/to/file or postgresql://user:password@host/name.",
    ),
]


@commands.command()
def upgrade(url: _Url) -> None:
    """Bring the tables to this version."""
    with _open(url) as database:
        database.migrate()
    typer.echo("The database is up to date.")


@commands.command(
    epilog="The new key is HYBRIDTWIN_MASTER_KEY, the one before HYBRIDTWIN_MASTER_KEY_OLD; "
    "let the service run with both until this is done."
)
def rotate(url: _Url) -> None:
    """Wrap everybody's data key by the new master key."""
    from serving.store import vault

    found = vault.vault_from(os.environ)
    with _open(url) as database, database.session() as session:
        moved = vault.rotate(session, found)
    typer.echo(f"{moved} keys are wrapped by master key {found.key_id}; the old one may go.")


@commands.command(epilog="Keep what it prints outside of the database, for the next time.")
def verify(
    url: _Url,
    anchor: Annotated[
        str | None, typer.Option(metavar="HEAD", help="What verify printed the last time.")
    ] = None,
) -> None:
    """Look for changes in the audit log."""
    from serving.store import audit

    with _open(url) as database, database.reading() as session:
        head = audit.verify(session, audit.head_from(anchor) if anchor else None)
    typer.echo(str(head))


@commands.command(
    epilog="Example: hybridtwin database key --role admin --name 'the first one'\n\n"
    "Once there is an admin's key, POST /v1/keys makes others for apps and admins."
)
def key(
    url: _Url,
    role: Annotated[list[Role], typer.Option(help="What it may be; several if repeated.")],
    name: Annotated[str, typer.Option(help="What it is for; no person's name.")],
    clinic: Annotated[list[str] | None, typer.Option(help="Of which clinic it is.")] = None,
    patient: Annotated[
        uuid.UUID | None, typer.Option(metavar="ID", help="Whose own data it reaches.")
    ] = None,
) -> None:
    """Make an API key, and show it this once."""
    from serving.store import api_keys, audit

    with _open(url) as database:
        database.migrate()
        with database.session() as session:
            _, secret = api_keys.create(session, name, role, clinic or (), patient)
            audit.append(session, _ACTOR, "key.create", patient)
    typer.echo(secret)


@commands.command("sign-out")
def sign_out(
    url: _Url,
    subject: Annotated[
        str | None, typer.Option(help="Whose, as the audit log calls them; everybody's if absent.")
    ] = None,
) -> None:
    """End sessions in browsers at once."""
    from serving.store import audit, sessions

    with _open(url) as database:
        database.migrate()
        with database.session() as session:
            ended = sessions.end_all(session, subject)
            audit.append(session, "command line", "session.revoke")
            for who in ended:
                audit.append(session, who, "session.end")
    typer.echo(f"{len(ended)} sessions are over.")


@commands.command(
    epilog="Example: hybridtwin database research --out records\n\n"
    "Then: hybridtwin train --records records"
)
def research(url: _Url, out: Annotated[Path, typer.Option(help="A new folder.")]) -> None:
    """Write pseudonymised records of all who agree to research now, and a manifest."""
    from serving.store import vault
    from serving.store.research import export

    with _open(url) as database:
        manifest = export(database, vault.vault_from(os.environ), _ACTOR, out)
    typer.echo(f"{len(manifest.participants)} records in {out}")


@commands.command(
    epilog="Example: hybridtwin database withdrawn records/manifest.json\n\n"
    "Delete their folders before the next training."
)
def withdrawn(
    url: _Url, manifest: Annotated[Path, typer.Argument(help="Of an earlier export.")]
) -> None:
    """Name the pseudonyms of an export whose people no longer agree, one in a line."""
    from serving.store import research, vault

    with _open(url) as database, database.reading() as session:
        found = research.withdrawn(
            session, vault.vault_from(os.environ), research.read_manifest(manifest)
        )
    for pseudonym in found:
        typer.echo(pseudonym)


def _open(url: str) -> "closing[Database]":
    from serving.store.database import open_database  # slow to import

    return closing(open_database(url))
