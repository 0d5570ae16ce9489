"""How a twin is kept current by readings; see configs/assimilation.yaml."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_MODEL = ConfigDict(frozen=True, extra="forbid")


class FilterSettings(BaseModel):
    """How members are moved by a reading."""

    model_config = _MODEL

    kind: Literal["ensemble-kalman", "particle"] = Field(
        "ensemble-kalman", description="Which filter; see `filters`."
    )
    outlier_sd: float = Field(
        3.0, gt=0, description="Errors beyond so many of their SD weigh less, as if this far off."
    )
    resample_below: float = Field(
        0.5, ge=0, le=1, description="Particles: resampled below this share of effective ones."
    )
    discount: float = Field(
        0.98, gt=1 / 3, le=1, description="Particles: Liu and West's, of slow parameters."
    )


class SensorSettings(BaseModel):
    """Error of one reading: its SD is the root of the sum of both squares."""

    model_config = _MODEL

    sd_mg_dl: float = Field(gt=0, description="Part that is the same at every level.")
    sd_share: float = Field(ge=0, lt=1, description="Part that grows with the reading.")


class Wander(BaseModel):
    """A quantity that wanders about what is usual, and comes back: an Ornstein-Uhlenbeck process.

    Its SD is the same at all times, that of what is not known at first included.
    """

    model_config = _MODEL

    sd: float = Field(ge=0, description="Of the logarithm, but for the profile.")
    return_days: float = Field(gt=0, description="In which it comes back, to 1/e.")


class SlowSettings(BaseModel):
    """How slow parameters wander; see `slow`."""

    model_config = _MODEL

    sensitivity: Wander = Field(Wander(sd=0.4, return_days=120), description="Of weeks.")
    sensitivity_now: Wander = Field(Wander(sd=0.65, return_days=2), description="Of the day.")
    liver_output: Wander = Field(Wander(sd=0.12, return_days=2000), description="Basal need.")
    carbohydrate: Wander = Field(Wander(sd=0.1, return_days=2000), description="What arrives.")
    absorption: Wander = Field(Wander(sd=0.25, return_days=1000), description="Time in the gut.")
    profile_sine: Wander = Field(Wander(sd=0.1, return_days=100), description="Time of day.")
    profile_cosine: Wander = Field(Wander(sd=0.1, return_days=100), description="Time of day.")


class MissesSettings(BaseModel):
    """How it is learnt what forecasts of one person miss; see `misses`."""

    model_config = _MODEL

    days: float = Field(60, gt=0, description="How far back forecasts are made again.")
    every_min: int = Field(20, ge=5, description="How often, minutes.")
    memory_days: float = Field(60, gt=0, description="In which what was missed fades, to 1/e.")
    shift_sd_mg_dl: float = Field(
        15, gt=0, description="How much people's misses differ, from two hours ahead on."
    )
    worth: float = Field(
        0.35, gt=0, le=1, description="What a forecast is worth, in independent ones."
    )
    usual_windows: float = Field(
        20, gt=0, description="What the usual width counts as much as, in independent forecasts."
    )
    usual_days: float = Field(
        4.5,
        gt=0,
        description="After so many days half of what forecasts half an hour ahead missed is put "
        "right; further ahead sooner.",
    )


class HindcastNoise(BaseModel):
    """How far hindcasts lie off where all was logged; see `supposed`."""

    model_config = _MODEL

    sensor_sd_mg_dl: float = Field(1.5, gt=0, description="Of a reading's error.")
    sensor_memory_min: float = Field(100, gt=0, description="In which that fades, to 1/e.")
    rate_sd_mg_dl_min: float = Field(
        0.75, ge=0, description="Of a drift of glucose that the equations miss."
    )
    rate_memory_min: float = Field(6.3, gt=0, description="In which the drift fades, to 1/e.")
    carbs_share: float = Field(0.55, ge=0, description="SD of logged grams, as a share of them.")
    carbs_time_sd_min: float = Field(17, ge=0, description="SD of a logged meal's time.")
    carbs_late_share: float = Field(
        0.3, ge=0, description="SD of the share of logged grams that waits in the stomach."
    )
    sensitivity: float = Field(0.18, ge=0, description="SD of its logarithm.")
    absorption: float = Field(0.3, ge=0, description="SD of the logarithm of the time in the gut.")
    freedom: float = Field(
        30, gt=0, description="Degrees of freedom: how well all this is known of one person."
    )


class OwnNoise(BaseModel):
    """How it is learnt how restless one person's glucose is; see `restless`."""

    model_config = _MODEL

    days: float = Field(14, gt=0, description="How far back hindcasts are made.")
    every_min: int = Field(120, ge=5, description="How often, minutes.")
    least: int = Field(12, ge=1, description="With fewer of them everybody is alike.")
    quantile: float = Field(0.9, gt=0, lt=1, description="Of changes, that is compared.")
    share: float = Field(
        0.25, gt=0, le=1, description="Of it, that drift makes; the rest is misjudged meals."
    )
    within: tuple[float, float] = Field(
        (0.15, 4.0), description="By how much the variance is smaller or larger at most."
    )


class HabitSettings(BaseModel):
    """At which times a meal is likely that nobody logged; see `habit`."""

    model_config = _MODEL

    days: float = Field(14, gt=0, description="How far back logged meals tell of it.")
    sd_min: float = Field(60, gt=0, description="How far meals lie from their usual time.")
    anywhere: float = Field(
        10, gt=0, description="Beside logged meals so many more count, at just any time."
    )
    taken_min: float = Field(
        90, ge=0, description="So near to a logged meal none is missing that is usual then."
    )


class UnloggedSettings(BaseModel):
    """What is held likely to happen without a log, and from when on it is said; see `unlogged`."""

    model_config = _MODEL

    hours: float = Field(4, ge=2, le=8, description="How far back is looked.")
    every_min: int = Field(15, ge=5, le=60, description="Between times at which it may have begun.")
    settle_min: int = Field(
        60,
        ge=0,
        description="What began so soon after the look back begins may be older: not told.",
    )
    meals_a_day: float = Field(2.0, gt=0, description="Of which nobody logs.")
    meal_g: float = Field(35, gt=0, description="Median of these.")
    meal_spread: float = Field(0.6, gt=0, description="SD of the logarithm of their grams.")
    sites_a_day: float = Field(0.03, gt=0, description="Infusion sites that fail.")
    exercise_a_day: float = Field(0.2, gt=0, description="Bouts that nobody logs.")
    bolus_given: float = Field(
        0.4,
        gt=0,
        lt=1,
        description="Probability that a meal's bolus was given where none is logged.",
    )
    least_g: float = Field(
        20, ge=0, description="Smaller meals are not told of, nor missed boluses."
    )
    told_at: float = Field(0.65, gt=0, lt=1, description="Probability from which on it is told.")
    noise: HindcastNoise = Field(default_factory=HindcastNoise)
    own: OwnNoise = Field(default_factory=OwnNoise)
    habit: HabitSettings = Field(default_factory=HabitSettings)


class AssimilationSettings(BaseModel):
    """How a twin is kept current."""

    model_config = _MODEL

    members: int = Field(32, ge=4, le=1000, description="Size of the ensemble.")
    filter: FilterSettings = Field(default_factory=FilterSettings)
    cgm: SensorSettings = Field(
        default_factory=lambda: SensorSettings(sd_mg_dl=9.0, sd_share=0.06),
        description="Of a continuous sensor: larger than it is, as neighbours err alike.",
    )
    fingerstick: SensorSettings = Field(
        default_factory=lambda: SensorSettings(sd_mg_dl=5.0, sd_share=0.05),
        description="Of a fingerstick.",
    )
    slow: SlowSettings = Field(default_factory=SlowSettings)
    flux: Wander = Field(
        Wander(sd=1.8, return_days=0.0417),
        description="Into plasma, mg/kg/min, of what is not logged and what the equations miss.",
    )
    plasma_sd_per_h: float = Field(
        0.03, ge=0, description="Log of glucose in plasma: SD after an hour of what is left."
    )
    carbs_sd_per_h: float = Field(
        0.2, ge=0, description="Log of the carbohydrate in stomach and gut: SD after an hour."
    )
    misses: MissesSettings = Field(default_factory=MissesSettings)
    unlogged: UnloggedSettings = Field(default_factory=UnloggedSettings)
    reach_hours: float = Field(
        6.0, gt=0, le=24, description="What is at most so late replays the hours since."
    )
    path_days: int = Field(120, ge=1, le=400, description="How many days of the path are kept.")
    path_widening: float = Field(
        1.4,
        ge=1,
        description="By how much its bands are wider than the filter's, which is too sure: nine "
        "tenths of the days of virtual people, none of whom is scored, are to lie in them.",
    )

    @model_validator(mode="after")
    def _enough(self) -> Self:
        from hybridtwin.assimilation.state import FILTERED

        if self.filter.kind == "ensemble-kalman" and self.members <= FILTERED:
            raise ValueError(f"members: so many directions take at least {FILTERED + 1} of them")
        return self
