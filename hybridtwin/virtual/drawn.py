"""New virtual patients, drawn from the distribution that the published ones suggest.

As in Kovatchev et al., J Diabetes Sci Technol 3:44 (2009), the parameters of a population are
jointly log-normal: each age group has its mean, all share the covariance within groups. What the
equations tie to the basal state follows from the rest, with the relations that hold in every
published patient, so that the basal state is steady. No drawn patient is a published one.
"""

from typing import Final

import numpy as np

from hybridtwin.virtual.native import run
from hybridtwin.virtual.patients import PARAMETERS, Array, Patients, join, load_patients
from hybridtwin.virtual.reactions import fall_per_unit
from hybridtwin.virtual.uva_padova import basal_state, basal_u_min, eaten

_FREE: Final = (
    *("age", "bw", "kabs", "kmax", "kmin", "vg", "vi", "k1", "k2", "vmx", "km0", "p2u", "kp2"),
    *("kp3", "ki", "m1", "m2", "ka1", "ka2", "kd", "ksc", "ib"),
)
_SHARES: Final = ("b", "d")
_SAME_IN_ALL: Final = ("f", "fsnc", "ke1", "ke2")
_SHRUNK: Final = 0.5
"""How far the covariance, of 30 people and 26 parameters, is drawn to its diagonal."""
_FAR_SD: Final = 2.5
"""A draw further than this from the mean, in any direction of the population's, is repeated."""

# m4 / m2 and m30 / m1 of every published patient: 40 % of basal insulin clearance is peripheral,
# and the liver extracts 60 %.
_PERIPHERAL: Final = 0.4
_HEPATIC: Final = 1.5
_BASAL_SHARE: Final = 0.5
_RATIO_MEAL_G: Final = 50.0
_RATIO_AFTER_MIN: Final = 300
_RATIO_STRENGTH: Final = 1.3
"""Published carbohydrate ratios are on average that much stronger than what settles a meal."""
_RATIO_MAX_G_U: Final = 100.0


def draw_patients(count: int, seed: int) -> Patients:
    """New patients, of the age groups in turn, named such as `adult-drawn-0007`.

    Args:
        count: How many.
        seed: Fixes them; a patient depends on the seed and their own position alone.
    """
    published = load_patients()
    groups = np.array(published.group)
    names = sorted(set(groups))
    logs = _logs(published)
    mean = {name: logs[:, groups == name].mean(axis=1) for name in names}
    within = np.concatenate([logs[:, groups == name] - mean[name][:, None] for name in names], 1)
    covariance = within @ within.T / (len(groups) - len(names))
    covariance += _SHRUNK * (np.diag(np.diag(covariance)) - covariance)
    factor = np.linalg.cholesky(covariance)
    drawn = []
    for position in range(count):
        group = names[position % len(names)]
        rng = np.random.default_rng([seed, position])
        name = f"{group}-drawn-{position:04d}"
        drawn.append(_draw(name, mean[group], factor, published, rng))
    return _with_habits(join(drawn))


def _logs(patients: Patients) -> Array:
    """(N, P) what is drawn of the patients, without bounds."""
    shares = [getattr(patients, name) for name in _SHARES]
    return np.stack(
        [
            *(np.log(getattr(patients, name)) for name in _FREE),
            *(np.log(share / (1 - share)) for share in shares),
            np.log(patients.gpb / patients.vg),
            np.log(_production(patients) - patients.fsnc),
        ]
    )


def _production(p: Patients) -> Array:
    """(P,) basal output of the liver, mg/kg/min."""
    output: Array = p.kp1 - p.kp2 * p.gpb - p.kp3 * p.ib
    return output


def _draw(
    name: str, mean: Array, factor: Array, published: Patients, rng: np.random.Generator
) -> Patients:
    """One patient whose basal state exists."""
    while True:
        normal = rng.standard_normal(len(mean))
        if np.abs(normal).max() > _FAR_SD:
            continue
        *logs, glucose, uptake = mean + factor @ normal
        p = dict(zip(_FREE, np.exp(logs[: len(_FREE)]), strict=True))
        shares = logs[len(_FREE) :]
        p |= {share: 1 / (1 + np.exp(-x)) for share, x in zip(_SHARES, shares, strict=True)}
        p |= {same: getattr(published, same)[0] for same in _SAME_IN_ALL}
        p |= _basal(p, np.exp(glucose), np.exp(uptake))
        if p["gtb"] > 0 and p["kmin"] < p["kmax"] and p["d"] < p["b"] < 1:
            unsettled = {"cr": 1.0, "cf": 1.0, "tdi": 1.0}
            arrays = {key: np.array([(p | unsettled)[key]]) for key in PARAMETERS}
            return Patients((name,), **arrays)


def _basal(p: dict[str, float], glucose_mg_dl: float, uptake: float) -> dict[str, float]:
    """What keeps the basal state steady, from basal glucose and the tissue's uptake, mg/kg/min."""
    m4, m30 = _PERIPHERAL * p["m2"], _HEPATIC * p["m1"]
    gpb, ipb = glucose_mg_dl * p["vg"], p["ib"] * p["vi"]
    ilb = p["m2"] * ipb / (p["m1"] + m30)
    infusion = (p["m2"] + m4) * ipb - p["m1"] * ilb
    gtb = (p["k1"] * gpb - uptake) / p["k2"]
    skin = infusion / (p["ka1"] + p["kd"])
    return {
        "m4": m4,
        "m30": m30,
        "gpb": gpb,
        "ipb": ipb,
        "ilb": ilb,
        "u2ss": infusion,
        "isc1ss": skin,
        "isc2ss": p["kd"] * skin / p["ka2"],
        "gtb": gtb,
        "vm0": uptake * (p["km0"] + gtb) / gtb,
        "kp1": p["fsnc"] + uptake + p["kp2"] * gpb + p["kp3"] * p["ib"],
    }


def _with_habits(patients: Patients) -> Patients:
    """The patients with the figures that they treat themselves by."""
    arrays = {name: getattr(patients, name) for name in PARAMETERS}
    arrays["cr"] = _settling_ratio(patients) / _RATIO_STRENGTH
    arrays["cf"] = fall_per_unit(patients)
    arrays["tdi"] = basal_u_min(patients) * 24 * 60 / _BASAL_SHARE
    return Patients(patients.name, **arrays)


def _settling_ratio(patients: Patients) -> Array:
    """(P,) g of carbohydrate per unit that brings a meal back to basal glucose, by bisection."""
    count = len(patients)
    meal = np.zeros((_RATIO_AFTER_MIN, count))
    meal[0] = _RATIO_MEAL_G
    carbs = eaten(meal)
    weak, strong = np.full(count, 1.0), np.full(count, _RATIO_MAX_G_U)
    for _ in range(16):
        tried = np.sqrt(weak * strong)
        insulin = np.tile(basal_u_min(patients), (_RATIO_AFTER_MIN, 1))
        insulin[0] += _RATIO_MEAL_G / tried
        glucose, _ = run(basal_state(patients), carbs, insulin, patients)
        too_little = glucose[-1] > glucose[0]
        strong = np.where(too_little, tried, strong)
        weak = np.where(too_little, weak, tried)
    ratio: Array = np.sqrt(weak * strong)
    return ratio
