"""Records for research: of those who agree, under no name, at another time.

Every participant gets a pseudonym, another one in every export, and all their times are moved by
the same random number of whole weeks. What remains is the local wall clock, written as UTC: weekday
and time of day are kept, where the person lives is not. The profile is reduced to what k-anonymity
was checked on. Readings over weeks may still be recognised by who has them already: no export is
anonymous.

A pseudonym follows from the person's key and the export's identifier, so that the store can tell
later whose it was while the person is known, and nobody else can.
"""

import secrets
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.orm import Session

from hybridtwin.errors import TwinError
from hybridtwin.event_tables import TABLES
from hybridtwin.events import Profile
from hybridtwin.record import Provenance, Record
from hybridtwin.record_files import save_record
from serving.store import audit, consents, patients, records
from serving.store.database import Database
from serving.store.errors import PrivacyError
from serving.store.vault import Vault, person_key, tag

K: Final = 5
"""With how many others, at least, everyone shares age band, sex and type of diabetes; itself
counted."""
_BAND_YEARS: Final = 10
_OLDEST_BAND: Final = 80
_PSEUDONYM_DIGITS: Final = 16
_WEEKS: Final = (52, 260)
"""By how much times are moved into the past, at least and at most."""
MANIFEST: Final = "manifest.json"


class Participant(BaseModel):
    """Whose record is in an export."""

    model_config = ConfigDict(frozen=True)

    pseudonym: str = Field(description="The folder of the record.")
    consent_version: str = Field(description="Of the text to which they agreed.")
    consented: date = Field(description="On which day, UTC.")


class Manifest(BaseModel):
    """What an export holds, and on whose word; it goes with the records."""

    model_config = ConfigDict(frozen=True)

    format: Literal["hybridtwin-research-1"] = "hybridtwin-research-1"
    export: uuid.UUID = Field(description="The export's identifier.")
    made: datetime = Field(description="When.")
    k: int = Field(ge=1, description="As many people, at least, have any profile in it.")
    participants: list[Participant] = Field(description="In order of their pseudonyms.")


def export(database: Database, vault: Vault, actor: str, folder: Path, k: int = K) -> Manifest:
    """Write the records of all who agree to research now, as `hybridtwin train` reads them.

    Args:
        database: Where they are kept.
        vault: Opens.
        actor: Who asks for it; it is written into the log of everybody who is in it.
        folder: A record folder for each person goes here, and the manifest; new or empty.
        k: As many people, at least, have any profile that is given away.

    Raises:
        TwinError: The folder holds something.
        PrivacyError: Some profiles are shared by fewer people, or somebody withdrew meanwhile.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise TwinError.of(str(folder), "is not empty", "Give every export a folder of its own.")
    found_by = uuid.uuid4()
    with database.reading() as session:
        agreed = consents.agreeing(session, "research")
        for record in pseudonymised(session, vault, agreed, found_by, k):
            save_record(record, folder)
        participants = [
            Participant(
                pseudonym=_pseudonym(session, vault, patient_id, found_by),
                consent_version=consent.version,
                consented=consent.given.date(),
            )
            for patient_id, consent in agreed.items()
        ]
    manifest = Manifest(
        export=found_by,
        made=datetime.now(UTC),
        k=k,
        participants=sorted(participants, key=lambda one: one.pseudonym),
    )
    with database.session() as session:
        if not agreed.keys() <= consents.agreeing(session, "research").keys():
            shutil.rmtree(folder)
            raise PrivacyError.of("research", "somebody withdrew while it was made", "Ask again.")
        for patient_id in (None, *agreed):
            audit.append(session, actor, "research.export", patient_id)
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
    return manifest


def read_manifest(path: Path) -> Manifest:
    """The manifest of an earlier export.

    Raises:
        TwinError: It cannot be read.
    """
    try:
        return Manifest.model_validate_json(path.read_text())
    except (OSError, ValueError, ValidationError) as error:
        raise TwinError.of(
            str(path), "is no manifest of an export", f"Give the export's {MANIFEST}."
        ) from error


def withdrawn(session: Session, vault: Vault, manifest: Manifest) -> list[str]:
    """Pseudonyms of an earlier export whose people no longer agree, or are no longer known."""
    agreed = {
        _pseudonym(session, vault, patient_id, manifest.export)
        for patient_id in consents.agreeing(session, "research")
    }
    return [one.pseudonym for one in manifest.participants if one.pseudonym not in agreed]


def pseudonymised(
    session: Session,
    vault: Vault,
    agreed: Mapping[uuid.UUID, consents.Consent],
    export_id: uuid.UUID,
    k: int = K,
) -> Iterator[Record]:
    """Records of all who agree to research, in random order.

    Args:
        session: A transaction.
        vault: Opens.
        agreed: Who agrees now.
        export_id: Makes pseudonyms others than in any other export.
        k: As many people, at least, have any profile that is given away.

    Raises:
        PrivacyError: Some profiles are shared by fewer people.
    """
    profiles = {
        patient_id: patients.find(session, vault, patient_id).profile for patient_id in agreed
    }
    alike = Counter(map(_reduced, profiles.values()))
    rare = sum(count < k for count in alike.values())
    if rare:
        raise PrivacyError.of(
            "research",
            f"{rare} combinations of age band, sex and type are shared by fewer than {k} people",
            "Wait until more people agree.",
        )
    order = list(profiles)
    secrets.SystemRandom().shuffle(order)
    return (
        _moved(
            records.record_of(session, vault, patient_id, profiles[patient_id]),
            _pseudonym(session, vault, patient_id, export_id),
        )
        for patient_id in order
    )


def _pseudonym(session: Session, vault: Vault, patient_id: uuid.UUID, export_id: uuid.UUID) -> str:
    key = person_key(session, vault, patient_id)
    return f"r{tag(key, 'research', export_id).hex()[:_PSEUDONYM_DIGITS]}"


def _reduced(profile: Profile) -> tuple[float | None, str | None, str | None]:
    """The middle of the age band, sex, and type of diabetes."""
    age = profile.age_years
    band = None if age is None else min(age // _BAND_YEARS * _BAND_YEARS, _OLDEST_BAND)
    return None if band is None else band + _BAND_YEARS / 2, profile.sex, profile.diabetes_type


def _moved(record: Record, pseudonym: str) -> Record:
    profile = record.profile
    least, most = _WEEKS
    shift = pd.Timedelta(weeks=least + secrets.randbelow(most - least + 1))
    age_years, sex, diabetes_type = _reduced(profile)
    logged = record.logged.assign(
        start=_wall_clock(record.logged["start"], profile) - shift,
        end=_wall_clock(record.logged["end"], profile) - shift,
    )
    return Record(
        profile=Profile.model_validate(
            {
                "participant": pseudonym,
                "diabetes_type": diabetes_type,
                "age_years": age_years,
                "sex": sex,
            }
        ),
        **{name: _table_moved(name, getattr(record, name), profile, shift) for name in TABLES},
        logged=logged[logged["start"] < logged["end"]],
        provenance=Provenance(source="research"),
    )


def _table_moved(
    name: str, rows: pd.DataFrame, profile: Profile, shift: pd.Timedelta
) -> pd.DataFrame:
    """Rows at their new times; of the hour that the clock repeats in autumn, the first pass."""
    times = _wall_clock(rows["time"], profile)
    before = times.cummax().shift()
    later = before.isna() | (times > before if name == "glucose" else times >= before)
    return rows.assign(time=times - shift)[later].drop_duplicates()


def _wall_clock(times: pd.Series, profile: Profile) -> pd.Series:
    return times.dt.tz_convert(profile.zone).dt.tz_localize(None).dt.tz_localize("UTC")
