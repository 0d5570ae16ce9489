"""The store as the service uses it: the database, the master key, and who may come in."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from hybridtwin.errors import ModelError
from serving.access.caller import Role
from serving.settings import Settings
from serving.store import api_keys, patients
from serving.store.database import Database, open_database
from serving.store.errors import StoreError
from serving.store.vault import Vault, check, vault_from


@dataclass(frozen=True)
class Store:
    """What routes keep things in."""

    database: Database
    vault: Vault


def open_store(settings: Settings) -> Store:
    """The store that the settings name, its tables brought up to date.

    Raises:
        StoreError: It cannot be used, or the master key is missing or another's.
        ModelError: Nobody could come in.
    """
    if settings.database is None:
        raise StoreError.of("HYBRIDTWIN_DATABASE", "is not set", "Set it.")
    vault = vault_from(settings.as_environment())
    database = open_database(settings.database.get_secret_value())
    database.migrate()
    patients.finish_erasures(database)
    with database.reading() as session:
        check(session, vault)
        admins = [
            key
            for key in api_keys.everything(session)
            if Role.ADMIN in key.roles and key.revoked is None
        ]
    if not settings.issuers and not admins:
        raise ModelError.of(
            "HYBRIDTWIN_ISSUERS",
            "names no issuer of tokens, and the database holds no admin's key: who could come in?",
            "Name an issuer, or run: hybridtwin database key --role admin --name NAME",
        )
    return Store(database, vault)


def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


TheStore = Annotated[Store, Depends(_store)]
