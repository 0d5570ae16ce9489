"""What is held likely of sensors and bodies beforehand; see configs/sensor-faults.yaml."""

from pydantic import BaseModel, ConfigDict, Field

_MODEL = ConfigDict(frozen=True, extra="forbid")


class BodySettings(BaseModel):
    """How glucose under the skin moves, and how a sound sensor shows it, per step of 5 minutes."""

    model_config = _MODEL

    noise_sd_mg_dl: float = Field(1.0, gt=0, description="Of a reading.")
    level_sd_mg_dl: float = Field(0.4, ge=0, description="Of glucose, beside its slope.")
    slope_kept: float = Field(
        0.93, gt=0, le=1, description="Share of the slope that is left later."
    )
    calm_bend_sd_mg_dl: float = Field(0.05, gt=0, description="Change of the slope in calm hours.")
    lively_bend_sd_mg_dl: float = Field(
        4.4, gt=0, description="The same after meals, doses, exercise."
    )
    lively_begins: float = Field(
        0.026, gt=0, lt=0.5, description="Probability, where nothing acts."
    )
    lively_begins_acting: float = Field(
        0.037, gt=0, lt=0.5, description="The same while food or a dose does."
    )
    lively_ends: float = Field(0.28, gt=0, lt=1, description="Probability.")
    acting_carbs_g: float = Field(8.0, gt=0, description="So much just eaten acts.")
    acting_bolus_u: float = Field(1.5, gt=0, description="So much just given acts.")
    acting_min: float = Field(60.0, gt=0, description="In which both fade, exponentially.")
    scale_limits: tuple[float, float] = Field(
        (0.5, 2.5),
        description="By how much a person's readings can be quieter or livelier than stated here.",
    )
    scale_readings: float = Field(33.0, gt=1, description="Over how many readings this is learnt.")


class CompressionSettings(BaseModel):
    """Pressure on the tissue around the sensor."""

    model_config = _MODEL

    begins_at_night: float = Field(0.0018, gt=0, lt=0.1, description="Probability per 5 minutes.")
    begins_by_day: float = Field(0.0002, gt=0, lt=0.1, description="The same.")
    night: tuple[int, int] = Field(
        (23, 8), description="Local hours from and to which people mostly lie."
    )
    depth_mg_dl: float = Field(23.0, gt=0, description="Mean depth.")
    depth_sd_mg_dl: float = Field(11.0, gt=0, description="Its SD.")
    tissue_min: float = Field(5.0, gt=0, description="In which the tissue follows the pressure.")
    steps: int = Field(10, ge=3, le=24, description="For so many steps each age is told apart.")
    early_steps: int = Field(2, ge=0, description="In these it seldom ends.")
    ends_early: float = Field(0.007, gt=0, lt=1, description="Probability per 5 minutes, in these.")
    ends: float = Field(0.15, gt=0, lt=1, description="Probability per 5 minutes, later.")
    told_at: float = Field(0.9, gt=0, lt=1, description="Probability from which it is told.")


class JumpSettings(BaseModel):
    """A level that is off at once, as after a calibration."""

    model_config = _MODEL

    begins: float = Field(0.0014, gt=0, lt=0.1, description="Probability per 5 minutes.")
    sd_share: float = Field(0.57, gt=0, lt=1, description="SD of its size, as a share of glucose.")
    lasts_hours: float = Field(
        12.0, gt=0, description="Mean time until the level is taken as true."
    )
    told_at: float = Field(0.98, gt=0, lt=1, description="Probability from which it is told.")


class GainSettings(BaseModel):
    """A level that is off, as fingersticks tell it. Shares of the gain on blood glucose."""

    model_config = _MODEL

    sound_sd: float = Field(0.05, gt=0, description="SD of the gain of a sound sensor.")
    sound_within: float = Field(0.08, gt=0, lt=1, description="Further away, it is off.")
    walk_sd_per_day: float = Field(
        0.15, gt=0, description="SD by which the gain walks in a day, faults included."
    )
    comparison_sd: float = Field(
        0.09, gt=0, description="SD of one comparison: of the meter, of blood and tissue."
    )
    told_at: float = Field(0.91, gt=0, lt=1, description="Probability from which it is told.")


class FaultSettings(BaseModel):
    """What is held likely, and from which probabilities on faults are told."""

    model_config = _MODEL

    body: BodySettings = BodySettings()
    compression: CompressionSettings = CompressionSettings()
    jump: JumpSettings = JumpSettings()
    gain: GainSettings = GainSettings()
    forget_after_min: float = Field(
        60.0, gt=0, description="After so long without a reading, all begins anew."
    )
