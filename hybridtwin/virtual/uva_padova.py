"""The UVA/Padova type 1 diabetes simulator (S2008), for many patients at once.

Equations: meal and glucose from Dalla Man, Rizza & Cobelli, IEEE TBME 54:1740 (2007); stomach from
Dalla Man, Camilleri & Cobelli, IEEE TBME 53:2472 (2006); subcutaneous insulin and the patients from
Kovatchev et al., J Diabetes Sci Technol 3:44 (2009). They agree with simglucose's `T1DPatient`
except where glucose runs out: there simglucose stands still for ever, here glucose can come back.

Nothing of the twin's own physiology is used: these patients are what the twin is tested against.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybridtwin.virtual.patients import Array, Patients

COMPARTMENTS: Final = (
    "stomach_solid_mg",
    "stomach_liquid_mg",
    "gut_mg",
    "plasma_glucose_mg_kg",
    "tissue_glucose_mg_kg",
    "plasma_insulin_pmol_kg",
    "uptake_insulin_pmol_l",
    "delayed_insulin_pmol_l",
    "liver_action_insulin_pmol_l",
    "liver_insulin_pmol_kg",
    "skin_insulin_1_pmol_kg",
    "skin_insulin_2_pmol_kg",
    "sensor_glucose_mg_kg",
)
PMOL_PER_U: Final = 6000.0
MG_PER_G: Final = 1000.0
EATING_RATE_G_MIN: Final = 5.0
"""How fast a meal is eaten (simglucose); longer meals take longer, they are not steeper."""


@dataclass(frozen=True)
class State:
    """Where P bodies stand.

    Attributes:
        compartments: (13, P) in the order and units of `COMPARTMENTS`.
        meal_mg: (P,) size of the running or last meal, with what was in the stomach when it began.
        eating: (P,) whether the last minute was spent eating.
    """

    compartments: Array
    meal_mg: Array
    eating: Array

    def take(self, chosen: NDArray[np.intp]) -> "State":
        """The bodies at these positions."""
        return State(self.compartments[:, chosen], self.meal_mg[chosen], self.eating[chosen])


def basal_state(patients: Patients) -> State:
    """Every patient fasting and steady at their basal insulin."""
    nothing = np.zeros(len(patients))
    compartments = np.stack(
        [
            nothing,
            nothing,
            nothing,
            patients.gpb,
            patients.gtb,
            patients.ipb,
            nothing,
            patients.ib,
            patients.ib,
            patients.ilb,
            patients.isc1ss,
            patients.isc2ss,
            patients.gpb,
        ]
    )
    return State(compartments, nothing, nothing)


def basal_u_min(patients: Patients) -> Array:
    """(P,) insulin in U/min that keeps the basal state."""
    return patients.u2ss * patients.bw / PMOL_PER_U


def glucose_mg_dl(state: State, patients: Patients) -> Array:
    """(P,) subcutaneous glucose in mg/dL: what a sensor without error reads."""
    glucose: Array = state.compartments[12] / patients.vg
    return glucose


def digestion(x: Array, meal_mg: Array, carbs_g_min: Array, patients: Patients) -> Array:
    """Rates of change of stomach and gut, per minute.

    Args:
        x: (3, P) the first three compartments.
        meal_mg: (P,) size of the meal being digested.
        carbs_g_min: (P,) carbohydrate being eaten.
        patients: P patients.

    Returns:
        (3, P) mg/min.
    """
    p = patients
    solid, liquid, gut = x
    # Emptying slows in the middle of a meal (Dalla Man 2006, eq. 9-11, where the two logistic
    # functions are written as hyperbolic tangents).
    left = (solid + liquid) / np.maximum(meal_mg, 1e-9)
    full = 1 / (1 + np.exp(5 / (1 - p.b) * (p.b - left)))
    empty = 1 / (1 + np.exp(5 / p.d * (left - p.d)))
    ground = p.kmax * solid
    emptied = (p.kmin + (p.kmax - p.kmin) * (full + empty)) * liquid

    rate = np.empty_like(x)
    rate[0] = MG_PER_G * carbs_g_min - ground
    rate[1] = ground - emptied
    rate[2] = emptied - p.kabs * gut
    return rate


def metabolism(
    x: Array, gut_mg: Array, insulin_u_min: Array, sensitivity: Array, patients: Patients
) -> Array:
    """Rates of change of everything behind the gut, per minute.

    Args:
        x: (10, P) the compartments from plasma glucose on.
        gut_mg: (P,) glucose in the gut.
        insulin_u_min: (P,) rapid insulin being given under the skin.
        sensitivity: (P,) factor on insulin's action on uptake and liver, 1 as published.
        patients: P patients.

    Returns:
        (10, P) in units of `COMPARTMENTS` per minute.
    """
    p = patients
    gp, gt, ip, action, delayed, liver, il, skin1, skin2, sensed = x
    appearance = p.f * p.kabs / p.bw * gut_mg
    production = np.maximum(p.kp1 - p.kp2 * gp - sensitivity * p.kp3 * liver, 0)
    excretion = p.ke1 * np.maximum(gp - p.ke2, 0)
    exchange = p.k1 * gp - p.k2 * gt
    uptake = (p.vm0 + sensitivity * p.vmx * action) * gt / (p.km0 + gt)
    insulin = ip / p.vi

    rate = np.empty_like(x)
    rate[0] = _while_any(gp, production + appearance - p.fsnc - excretion - exchange)
    rate[1] = _while_any(gt, exchange - uptake)
    rate[2] = p.m1 * il - (p.m2 + p.m4) * ip + p.ka1 * skin1 + p.ka2 * skin2
    rate[3] = p.p2u * (insulin - p.ib - action)
    rate[4] = p.ki * (insulin - delayed)
    rate[5] = p.ki * (delayed - liver)
    rate[6] = p.m2 * ip - (p.m1 + p.m30) * il
    rate[7] = PMOL_PER_U / p.bw * insulin_u_min - (p.ka1 + p.kd) * skin1
    rate[8] = p.kd * skin1 - p.ka2 * skin2
    rate[9] = p.ksc * (gp - sensed)
    return rate


def _while_any(amount: Array, rate: Array) -> Array:
    """Uptake without insulin goes on at any glucose, but what is not there cannot be taken up."""
    return np.where(amount > 0, rate, np.maximum(rate, 0))


def step(
    state: State,
    carbs_g_min: Array,
    insulin_u_min: Array,
    sensitivity: Array,
    patients: Patients,
) -> State:
    """The bodies one minute later (Runge-Kutta of order 4, inputs constant over the minute).

    The stomach takes half-minute steps: while a meal is being eaten, its emptying can change too
    fast for a minute.

    Args:
        state: P bodies.
        carbs_g_min: (P,) carbohydrate eaten in this minute.
        insulin_u_min: (P,) rapid insulin given in this minute.
        sensitivity: (P,) factor on insulin's action.
        patients: P patients.
    """
    eats = carbs_g_min > 0
    begin, body = state.compartments[:3], state.compartments[3:]
    begun = np.where(eats & (state.eating == 0), begin[0] + begin[1], state.meal_mg)
    meal = begun + MG_PER_G * carbs_g_min

    def digest(x: Array, _: int) -> Array:
        return digestion(x, meal, carbs_g_min, patients)

    middle = _runge_kutta(digest, begin, 0.5)
    end = _runge_kutta(digest, middle, 0.5)
    gut = begin[2], middle[2], end[2]

    def metabolise(x: Array, moment: int) -> Array:
        return metabolism(x, gut[moment], insulin_u_min, sensitivity, patients)

    compartments = np.concatenate([end, _runge_kutta(metabolise, body, 1)])
    return State(compartments, meal, np.where(eats, 1.0, 0.0))


def _runge_kutta(rate: Callable[[Array, int], Array], x: Array, minutes: float) -> Array:
    """`x` some minutes later; `rate` at the step's beginning (0), middle (1) and end (2)."""
    a = rate(x, 0)
    b = rate(x + minutes / 2 * a, 1)
    c = rate(x + minutes / 2 * b, 1)
    d = rate(x + minutes * c, 2)
    return x + minutes / 6 * (a + 2 * (b + c) + d)


def simulate(
    state: State,
    carbs_g_min: Array,
    insulin_u_min: Array,
    patients: Patients,
    sensitivity: Array | None = None,
) -> Iterator[State]:
    """The bodies at every minute: M + 1 states for M minutes of inputs, the first as given.

    Args:
        state: P bodies at the start.
        carbs_g_min: (M, P) carbohydrate eaten per minute.
        insulin_u_min: (M, P) rapid insulin given per minute.
        patients: P patients.
        sensitivity: (M, P) factor on insulin's action; None for 1 throughout.
    """
    if sensitivity is None:
        sensitivity = np.ones_like(insulin_u_min)
    yield state
    for inputs in zip(carbs_g_min, insulin_u_min, sensitivity, strict=True):
        state = step(state, *inputs, patients)
        yield state


def eaten(announced_g: Array) -> Array:
    """Carbohydrate actually eaten per minute, of what is put on the table.

    Args:
        announced_g: (M, ...) g put on the table at each minute.

    Returns:
        (M, ...) g/min, at most `EATING_RATE_G_MIN`; a meal that does not fit before the end
        is left unfinished.
    """
    rate = np.empty_like(announced_g)
    plate = np.zeros_like(announced_g[0])
    for minute, added in enumerate(announced_g):
        plate = plate + added
        rate[minute] = np.minimum(plate, EATING_RATE_G_MIN)
        plate = plate - rate[minute]
    return rate
