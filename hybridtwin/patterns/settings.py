"""Which patterns are worth saying; see configs/patterns.yaml."""

from pydantic import BaseModel, ConfigDict, Field

Clock = tuple[int, int]
"""Local minutes of the day, from and to."""


class Part(BaseModel):
    """Settings share this."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NightLowSettings(Part):
    """Lows between midnight and six."""

    tolerated: float = Field(0.07, gt=0, lt=1, description="Share of nights that is let pass.")


class DawnSettings(Part):
    """Rises before breakfast."""

    clear_from_min: int = Field(
        2 * 60, description="Local minute from which there may be no food, bolus or low."
    )
    from_min: int = Field(3 * 60, description="Local minute from which glucose is followed.")
    to_min: Clock = Field(
        (5 * 60 + 30, 8 * 60), description="It is followed to the first meal or bolus in these."
    )
    rise_mg_dl: float = Field(18, ge=0, description="Mean rise that is let pass.")
    usual_mg_dl: float = Field(140, gt=0, description="Rises count as from here:")
    falls_back: float = Field(
        0.3, ge=0, le=1, description="so large a share of what is above it falls back by itself."
    )
    slowing_chance: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="Probability of so much slower a rise than before, where it is at least half "
        "as fast: below it, the rise is no dawn.",
    )


class BolusSettings(Part):
    """Missed and late boluses of meals."""

    meals: dict[str, Clock] = Field(
        {"breakfast": (5 * 60, 630), "lunch": (660, 870), "dinner": (1050, 1260)},
        description="Local minutes between which each begins.",
    )
    least_meal_g: float = Field(20, gt=0, description="Smaller ones are not looked at.")
    rise_mg_dl: float = Field(60, gt=0, description="A rise that only a meal can make,")
    rise_within_min: int = Field(75, gt=0, description="within this time.")
    before_min: int = Field(30, ge=0, description="A bolus so long before still is the meal's.")
    late_after_min: int = Field(25, gt=0, description="A first bolus so long after is late.")
    missed_after_min: int = Field(75, gt=0, description="Without one until then it was missed.")
    tolerated: float = Field(0.25, gt=0, lt=1, description="Share that is let pass.")


class ReboundSettings(Part):
    """Highs after lows."""

    within_min: int = Field(180, gt=0, description="After the low's last low reading.")
    least_lows: int = Field(4, ge=2, description="So many lows must show what came of them.")
    tolerated: float = Field(0.2, gt=0, lt=1, description="Share of lows that is let pass.")


class SensitivitySettings(Part):
    """Insulin that does less, or more, than before."""

    lately_days: Clock = Field((3, 8), description="Days that the change has lasted, from and to.")
    least_before_days: int = Field(8, ge=2, description="To compare with.")
    change: float = Field(0.15, gt=0, lt=1, description="Relative change that is let pass.")
    shuffles: int = Field(2000, ge=100, description="Of the days, to see what chance does.")


class SiteSettings(Part):
    """Hours in which a pump's insulin seems not to arrive."""

    counts_after_hours: float = Field(1, gt=0, description="Shorter highs are not looked at.")
    rare: float = Field(
        0.05, gt=0, lt=1, description="Share of the time that is higher, where that is below 250."
    )
    half_over_hours: tuple[float, float] = Field(
        (0.5, 1.0),
        description="Half of them are over after so long beyond that, at the least and at the "
        "most; between these it is the person's own.",
    )
    dip_min: float = Field(30, gt=0, description="A shorter dip does not end one.")
    acts_after_min: float = Field(90, ge=0, description="Until then a bolus may have done nothing.")
    least_hours: float = Field(6, gt=0, description="What is over sooner is no site problem.")


class ExerciseSettings(Part):
    """What exercise does to glucose."""

    least_min: float = Field(20, ge=0, description="Shorter bouts are not looked at.")
    after_min: int = Field(60, ge=0, description="Glucose is followed so long after a bout.")
    near_min: int = Field(
        60, ge=0, description="Other days are compared, begun so much sooner or later at most,"
    )
    parts_of_day: dict[str, Clock] = Field(
        {"morning": (240, 720), "afternoon": (720, 1020), "evening": (1020, 1440)},
        description="Local minutes in which a bout begins.",
    )
    free_hours: float = Field(3, ge=0, description="and free of exercise so long.")
    change_mg_dl: float = Field(15, ge=0, description="Change that is let pass.")


class PatternSettings(Part):
    """What is looked for, and when it is said."""

    days: int = Field(28, ge=14, le=180, description="How many, up to the last reading.")
    least_known: float = Field(0.7, gt=0, le=1, description="Of glucose, in each span looked at.")
    least_times: int = Field(6, ge=3, description="It could have happened, at least.")
    chance: float = Field(
        0.1, gt=0, lt=1, description="Of any false pattern at all in one look at one person."
    )
    night_lows: NightLowSettings = NightLowSettings()
    dawn: DawnSettings = DawnSettings()
    boluses: BolusSettings = BolusSettings()
    rebound: ReboundSettings = ReboundSettings()
    sensitivity: SensitivitySettings = SensitivitySettings()
    site: SiteSettings = SiteSettings()
    exercise: ExerciseSettings = ExerciseSettings()
