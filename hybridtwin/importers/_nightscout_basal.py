"""What a Nightscout site says of basal insulin: profiles, switches and temporary rates."""

import json
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybridtwin.importers import _common as common

_MINUTE: Final = pd.Timedelta(minutes=1)
_PUMP_EVENTS: Final = ("Temp Basal", "SMB", "Site Change", "Profile Switch")
_LONGEST_SILENCE: Final = pd.Timedelta(hours=24)
"""Without any treatment for a day the site was not fed: the pump's rate then is unknown."""

Store = dict[str, Any]


def local_zone(profiles: list[dict[str, Any]]) -> str:
    """The time zone of the newest profile, UTC where none says."""
    for document in sorted(profiles, key=_start, reverse=True):
        for store in document.get("store", {}).values():
            if store.get("timezone"):
                return str(store["timezone"])
    return "UTC"


def basal_doses(
    events: pd.DataFrame, profiles: list[dict[str, Any]], notes: common.Notes
) -> pd.DataFrame:
    """Basal doses, to the minute, within the spans that have treatments.

    The profile's rate holds wherever no temporary one does; a temporary rate ends with its
    duration or with the next one. A site without any pump event has no pump, whatever its
    profile says.
    """
    pumped = events["eventType"].isin(_PUMP_EVENTS)
    if not pumped.any():
        notes.missing("basal", "no temporary rate, automatic bolus or site change: no pump seen")
        return common.merge_rates(pd.DataFrame())
    run = (events["time"].diff() > _LONGEST_SILENCE).cumsum()
    spans = events.groupby(run)["time"].agg(["min", "max"])
    parts = []
    for low, high in zip(spans["min"], spans["max"], strict=True):
        minutes = pd.date_range(low.floor("min"), high.ceil("min"), freq=_MINUTE, inclusive="left")
        if minutes.empty:
            continue
        rate = _profile_rate(minutes, profiles, events)
        _overlay(rate, minutes[0], events[events["eventType"] == "Temp Basal"])
        parts.append(pd.DataFrame({"time": minutes, "rate": rate, "minutes": 1.0}))
    if not parts:
        return common.merge_rates(pd.DataFrame())
    rows = pd.concat(parts, ignore_index=True)
    unknown = rows["rate"].isna()
    notes.add("missing", "basal minute", int(unknown.sum()), "no profile and no temporary rate")
    return common.merge_rates(rows[~unknown])


def _overlay(rate: NDArray[np.float64], start: pd.Timestamp, temps: pd.DataFrame) -> None:
    """Put temporary rates over the profile's, later ones over earlier ones."""
    if temps.empty:
        return
    begins = ((temps["time"] - start) / _MINUTE).round().astype(int).to_numpy()
    nexts = np.append(begins[1:], len(rate))
    profile = rate.copy()
    stated = temps["absolute"].fillna(temps["rate"]).to_numpy()
    change = temps["percent"].to_numpy()
    minutes = temps["duration"].fillna(0).to_numpy()
    for begin, next_begin, absolute, percent, duration in zip(
        begins, nexts, stated, change, minutes, strict=True
    ):
        end = min(begin + round(duration), next_begin)
        span = slice(max(begin, 0), max(end, 0))
        if not np.isnan(absolute):
            rate[span] = absolute
        elif not np.isnan(percent):
            # Nightscout's percent is a change: -100 stops the pump, 50 adds half.
            rate[span] = profile[span] * max(0.0, 1 + percent / 100)


def _profile_rate(
    minutes: pd.DatetimeIndex, profiles: list[dict[str, Any]], events: pd.DataFrame
) -> NDArray[np.float64]:
    """The scheduled rate at each minute; NaN where no profile is known."""
    rate = np.full(len(minutes), np.nan)
    documents = sorted(profiles, key=_start)
    for place, document in enumerate(documents):
        # The oldest profile is the best guess for the time before it, too.
        since = minutes >= _start(document) if place else np.ones(len(minutes), dtype=bool)
        name = document.get("defaultProfile") or document.get("profile")
        _fill(rate, since, minutes, document.get("store", {}).get(name))
    if not documents:
        return rate
    switches = events[events["eventType"] == "Profile Switch"]
    for timed in (False, True):
        chosen = switches[(switches["duration"].fillna(0) > 0) == timed]
        for switch in chosen.itertuples():
            during = minutes >= switch.time
            if timed:
                during &= minutes < switch.time + pd.Timedelta(minutes=switch.duration)
                later = switches["time"][switches["time"] > switch.time]
                during &= minutes < (later.iloc[0] if len(later) else minutes[-1] + _MINUTE)
            store = _switched_to(switch.profile, switch.profileJson, documents)
            percentage = pd.to_numeric(switch.percentage, errors="coerce")
            scale = 1.0 if pd.isna(percentage) or not percentage else percentage / 100
            _fill(rate, during, minutes, store, scale)
    return rate


def _switched_to(name: object, inline: object, documents: list[dict[str, Any]]) -> Store | None:
    """The profile that a switch names, or brings along as text."""
    if isinstance(inline, str):
        try:
            brought = json.loads(inline)
        except json.JSONDecodeError:
            brought = None
        if isinstance(brought, dict):
            return brought
    for document in reversed(documents):
        if name in document.get("store", {}):
            store: Store = document["store"][name]
            return store
    return None


def _fill(
    rate: NDArray[np.float64],
    chosen: NDArray[np.bool_],
    minutes: pd.DatetimeIndex,
    store: Store | None,
    scale: float = 1.0,
) -> None:
    """Write a profile's schedule into the chosen minutes."""
    if not store or not store.get("basal") or not chosen.any():
        return
    slots = sorted((_minute_of_day(slot), float(slot["value"])) for slot in store["basal"])
    local = minutes[chosen].tz_convert(store.get("timezone") or "UTC")
    clock = np.asarray(local.hour * 60 + local.minute)
    starts = np.array([start for start, _ in slots])
    values = np.array([value for _, value in slots])
    rate[chosen] = values[np.maximum(np.searchsorted(starts, clock, side="right") - 1, 0)] * scale


def _minute_of_day(slot: dict[str, Any]) -> int:
    hours, minutes = str(slot["time"]).split(":")[:2]
    return 60 * int(hours) + int(minutes)


def _start(document: dict[str, Any]) -> pd.Timestamp:
    stated = document.get("startDate") or document.get("created_at") or "1970-01-01"
    time = pd.Timestamp(stated)
    return time.tz_localize("UTC") if time.tzinfo is None else time.tz_convert("UTC")
