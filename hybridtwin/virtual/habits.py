"""How people with diabetes live: what they eat, how well they count, what they forget."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class MealTime:
    """A meal of the day.

    Attributes:
        minute: Usual local minute of the day.
        spread_min: Standard deviation of its time.
        chance: Probability that it takes place on a day.
        share: Part of the day's carbohydrate.
        snack: Whether it is a snack, which is often neither bolused for nor logged.
    """

    minute: int
    spread_min: float
    chance: float
    share: float
    snack: bool = False


@dataclass(frozen=True)
class Habits:
    """What people have in common; every number that shapes the generator.

    Misjudged carbohydrate follows Brazeau et al., Diabetes Res Clin Pract 99:19 (2013): an error
    of 15 g per meal, about a fifth of its size. The other numbers are chosen so that time in
    ranges is that of people on a pump (see the tests of `life`).
    """

    meals: tuple[MealTime, ...] = (
        MealTime(7 * 60 + 15, 25, 0.94, 0.22),
        MealTime(12 * 60 + 30, 30, 0.96, 0.30),
        MealTime(16 * 60, 45, 0.55, 0.10, snack=True),
        MealTime(19 * 60, 35, 0.98, 0.32),
        MealTime(21 * 60 + 30, 40, 0.35, 0.08, snack=True),
    )
    carbs_g_day: dict[str, float] = field(
        default_factory=lambda: {"adolescent": 260.0, "adult": 240.0, "child": 140.0}
    )
    weekend_later_min: float = 60.0
    meal_size_spread: float = 0.25  # sd of the logarithm, from one day to another
    counting_spread: float = 0.20  # sd of the logarithm, per meal
    counting_usual: float = 0.87  # people underestimate more than they overestimate
    counting_bias_spread: float = 0.08  # sd of the logarithm, per person
    snack_bolused: float = 0.45
    unbolused_logged: float = 0.5  # carbohydrate is mostly entered in order to bolus
    bolus_early_min: float = 8.0  # before the meal, on average
    bolus_spread_min: float = 8.0
    late_chance: float = 0.12
    late_min: tuple[float, float] = (20.0, 60.0)

    basal_usual: float = 0.88  # fear of lows keeps basal rates a little short
    basal_spread: float = 0.08  # sd of the logarithm, per person
    ratio_spread: float = 0.10  # sd of the logarithm of the carbohydrate ratio, per person
    strong_night_chance: float = 0.12  # people whose basal is too strong at night
    strong_night_factor: tuple[float, float] = (1.3, 1.55)
    overdose_chance: float = 0.15  # people who chase evening highs

    awake_from_min: int = 6 * 60 + 45
    awake_until_min: int = 22 * 60 + 45
    target_mg_dl: float = 115.0
    correct_above_mg_dl: float = 190.0
    correct_again_min: float = 150.0
    insulin_on_board_min: float = 150.0  # time constant a pump's calculator would use
    rescue_below_mg_dl: float = 68.0
    rescue_g: dict[str, float] = field(
        default_factory=lambda: {"adolescent": 15.0, "adult": 15.0, "child": 10.0}
    )
    rescue_again_min: float = 20.0
    felt_below_mg_dl: float = 58.0  # symptoms, with or without a sensor
    notice_awake: float = 0.55  # per five minutes below the threshold
    notice_asleep: float = 0.12  # an alarm wakes only some
    notice_asleep_deep: float = 0.40  # below 54 mg/dL alarms repeat
    rescue_logged: float = 0.85

    day_spread: float = 0.20  # sd of the logarithm of insulin sensitivity between days
    hour_spread: float = 0.16  # the same between stretches of three hours
    clock_depth: tuple[float, float] = (0.03, 0.18)  # dawn: least sensitive in the early morning
    clock_known: float = 0.8  # how much of it the basal profile makes up for


@dataclass(frozen=True)
class Traits:
    """What is one person's own.

    Attributes:
        basal_factor: Pump basal relative to the one that would keep them steady.
        night_factor: The same between 22:00 and 05:00, on top.
        ratio_factor: Bolus relative to the one their carbohydrate ratio calls for.
        counting_bias: Carbohydrate counted relative to eaten.
        forgets: Probability of forgetting the bolus of a meal.
        corrects: Probability, per five minutes of a high, of correcting it.
        overdose: Probability of an overdosed correction in an evening.
        clock_depth: Depth of the daily wave of insulin sensitivity.
        overdoses_at: Instants of further overdosed corrections.
        rescue_factor: Carbohydrate taken against a low, relative to the usual.
        sensitivity_from: Instants from which on insulin's action is multiplied by a factor.
    """

    basal_factor: float
    night_factor: float
    ratio_factor: float
    counting_bias: float
    forgets: float
    corrects: float
    overdose: float
    clock_depth: float
    overdoses_at: tuple[pd.Timestamp, ...] = ()
    rescue_factor: float = 1.0
    sensitivity_from: tuple[tuple[pd.Timestamp, float], ...] = ()


def draw_traits(rng: np.random.Generator, habits: Habits) -> Traits:
    """One person's own ways, drawn from what people have in common."""
    strong_night = rng.random() < habits.strong_night_chance
    chases = rng.random() < habits.overdose_chance
    night = rng.uniform(*habits.strong_night_factor)
    return Traits(
        basal_factor=habits.basal_usual * rng.lognormal(0, habits.basal_spread),
        night_factor=night if strong_night else 1.0,
        ratio_factor=rng.lognormal(0, habits.ratio_spread),
        counting_bias=habits.counting_usual * rng.lognormal(0, habits.counting_bias_spread),
        forgets=rng.beta(1.5, 15),
        corrects=rng.uniform(0.02, 0.12),
        overdose=0.3 if chases else 0.0,
        clock_depth=rng.uniform(*habits.clock_depth),
    )
