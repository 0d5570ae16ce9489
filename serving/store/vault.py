"""Sealing: every person has a data key of their own, wrapped by the service's master key.

AES-256-GCM throughout. What is sealed is bound to its place (table, person, row), so that it does
not open in another one. Without the person's key it is noise: destroying the key erases it
wherever it was copied to.
"""

import base64
import binascii
import hmac
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from serving.store.errors import UnknownError, VaultError
from serving.store.tables import DataKey

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_VARIABLE: Final = "HYBRIDTWIN_MASTER_KEY"
_ADVICE: Final = "A new one: openssl rand -base64 32. Keep it apart from the database's backups."


def seal(key: bytes, content: bytes, *place: object) -> bytes:
    """Content as noise that opens only with the same key at the same place."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, _place(place))


def unseal(key: bytes, sealed: bytes, *place: object) -> bytes:
    """The content again.

    Raises:
        VaultError: The key is another one, or the content was changed or moved.
    """
    nonce, noise = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, noise, _place(place))
    except (InvalidTag, ValueError) as error:
        raise VaultError.of(
            str(place[0]),
            "a row does not open: it was changed, or moved here from elsewhere",
            "Compare the database with its backup.",
        ) from error


def tag(key: bytes, *parts: object) -> bytes:
    """32 bytes by which equal parts are found again; they say nothing to who lacks the key."""
    return hmac.digest(hmac.digest(key, b"tag", "sha256"), _place(parts), "sha256")


@dataclass(frozen=True)
class Vault:
    """The master key, and older ones from which people's keys are still to be moved.

    Attributes:
        master: 32 bytes.
        older: Master keys that still open, but no longer wrap.

    Raises:
        VaultError: A key has another length.
    """

    master: bytes = field(repr=False)
    older: Sequence[bytes] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if any(len(key) != KEY_BYTES for key in (self.master, *self.older)):
            raise VaultError.of(_VARIABLE, f"is not {KEY_BYTES} bytes long", _ADVICE)

    @property
    def key_id(self) -> str:
        """A name for the master key that says nothing about it."""
        return _key_id(self.master)


def vault_from(environment: Mapping[str, str]) -> Vault:
    """The vault as HYBRIDTWIN_MASTER_KEY or HYBRIDTWIN_MASTER_KEY_FILE states it, in base64.

    While keys are rotated, HYBRIDTWIN_MASTER_KEY_OLD or HYBRIDTWIN_MASTER_KEY_OLD_FILE holds the
    one before.

    Raises:
        VaultError: There is no master key, or it is not 32 bytes in base64.
    """
    master = _stated(environment, _VARIABLE)
    if master is None:
        raise VaultError.of(_VARIABLE, f"is not set, nor is {_VARIABLE}_FILE", _ADVICE)
    older = _stated(environment, f"{_VARIABLE}_OLD")
    return Vault(master, [] if older is None else [older])


def new_key(session: Session, vault: Vault, patient_id: uuid.UUID) -> bytes:
    """Make and keep a person's data key."""
    key = os.urandom(KEY_BYTES)
    wrapped = seal(vault.master, key, "data_keys", patient_id)
    session.add(DataKey(patient_id=patient_id, master_key_id=vault.key_id, wrapped=wrapped))
    return key


def person_key(session: Session, vault: Vault, patient_id: uuid.UUID) -> bytes:
    """A person's data key.

    Raises:
        UnknownError: There is none: it was destroyed, or never made.
        VaultError: It was wrapped by a master key that is not here.
    """
    row = session.get(DataKey, patient_id)
    if row is None:
        raise UnknownError.of("patient", "there is no such patient", "Check the identifier.")
    return _unwrap(vault, row)


def destroy_key(session: Session, patient_id: uuid.UUID) -> None:
    """Make everything that was sealed for a person unreadable, for good."""
    session.execute(delete(DataKey).where(DataKey.patient_id == patient_id))


def check(session: Session, vault: Vault) -> None:
    """Find out at the start, not at the first request, that the master key is the wrong one.

    Raises:
        VaultError: Keys here were wrapped by a master key that is not in the vault.
    """
    known = [_key_id(master) for master in (vault.master, *vault.older)]
    foreign = session.scalars(select(DataKey).where(DataKey.master_key_id.not_in(known)).limit(1))
    for row in foreign:
        _unwrap(vault, row)


def rotate(session: Session, vault: Vault) -> int:
    """Wrap every key that an older master key wraps by the present one; the number moved.

    Raises:
        VaultError: A key was wrapped by a master key that is not in the vault.
    """
    stale = select(DataKey).where(DataKey.master_key_id != vault.key_id).with_for_update()
    rows = session.scalars(stale).all()
    for row in rows:
        key = _unwrap(vault, row)
        row.wrapped = seal(vault.master, key, "data_keys", row.patient_id)
        row.master_key_id = vault.key_id
    return len(rows)


def unwrap(vault: Vault, patient_id: uuid.UUID | str, master_key_id: str, wrapped: bytes) -> bytes:
    """A person's data key, from the columns of its row.

    Raises:
        VaultError: It was wrapped by a master key that is not here.
    """
    for master in (vault.master, *vault.older):
        if _key_id(master) == master_key_id:
            return unseal(master, wrapped, "data_keys", patient_id)
    raise VaultError.of(
        _VARIABLE,
        f"is {vault.key_id}, but people's keys here were wrapped by {master_key_id}",
        f"Set that master key, or name it in {_VARIABLE}_OLD and rotate.",
    )


def _unwrap(vault: Vault, row: DataKey) -> bytes:
    return unwrap(vault, row.patient_id, row.master_key_id, row.wrapped)


def _stated(environment: Mapping[str, str], name: str) -> bytes | None:
    try:
        if path := environment.get(f"{name}_FILE"):
            return base64.b64decode(Path(path).read_text().strip(), validate=True)
        if value := environment.get(name):
            return base64.b64decode(value.strip(), validate=True)
    except OSError as error:
        what = f"cannot be read ({os.strerror(error.errno or 0)})"
        raise VaultError.of(f"{name}_FILE", what, _ADVICE) from error
    except (binascii.Error, ValueError):  # its text would repeat the key
        raise VaultError.of(name, f"is not {KEY_BYTES} bytes in base64", _ADVICE) from None
    return None


@cache
def _key_id(master: bytes) -> str:
    return hmac.digest(master, b"name", "sha256").hex()[:16]


def _place(parts: Sequence[object]) -> bytes:
    return "\n".join(map(str, parts)).encode()
