"""Records for research: of those who agree, under no name, at another time.

Every participant gets a random pseudonym, and all their times are moved by the same random number
of whole weeks. What remains is the local wall clock, written as UTC: weekday and time of day are
kept, where the person lives is not. The profile is reduced to what k-anonymity was checked on.
Readings over weeks may still be recognised by who has them already: no export is anonymous.
"""

import secrets
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Final

import pandas as pd
from sqlalchemy.orm import Session

from hybridtwin.event_tables import TABLES
from hybridtwin.events import Profile
from hybridtwin.record import Provenance, Record
from serving.store import consents, patients, records
from serving.store.errors import PrivacyError
from serving.store.vault import Vault

K: Final = 5
"""With how many others, at least, everyone shares age band, sex and type of diabetes; itself
counted."""
_BAND_YEARS: Final = 10
_OLDEST_BAND: Final = 80
_WEEKS: Final = (52, 260)
"""By how much times are moved into the past, at least and at most."""


def pseudonymised(session: Session, vault: Vault, k: int = K) -> Iterator[Record]:
    """Records of all who agree to research now, in random order.

    Args:
        session: A transaction.
        vault: Opens.
        k: As many people, at least, have any profile that is given away.

    Raises:
        PrivacyError: Some profiles are shared by fewer people.
    """
    profiles = {
        patient_id: patients.find(session, vault, patient_id).profile
        for patient_id in consents.agreeing(session, "research")
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
    return (_moved(session, vault, patient_id, profiles[patient_id]) for patient_id in order)


def _reduced(profile: Profile) -> tuple[float | None, str | None, str | None]:
    """The middle of the age band, sex, and type of diabetes."""
    age = profile.age_years
    band = None if age is None else min(age // _BAND_YEARS * _BAND_YEARS, _OLDEST_BAND)
    return None if band is None else band + _BAND_YEARS / 2, profile.sex, profile.diabetes_type


def _moved(session: Session, vault: Vault, patient_id: uuid.UUID, profile: Profile) -> Record:
    record = records.record_of(session, vault, patient_id, profile)
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
                "participant": f"r{secrets.token_hex(8)}",
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
