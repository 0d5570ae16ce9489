"""How a twin is kept current by readings; see configs/assimilation.yaml."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

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
    relaxation: float = Field(
        0.3, ge=0, le=1, description="Kalman: share of the lost spread that is given back."
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


class AssimilationSettings(BaseModel):
    """How a twin is kept current."""

    model_config = _MODEL

    members: int = Field(32, ge=4, le=1000, description="Size of the ensemble.")
    filter: FilterSettings = Field(default_factory=FilterSettings)
    cgm: SensorSettings = Field(
        default_factory=lambda: SensorSettings(sd_mg_dl=3.0, sd_share=0.03),
        description="Of a continuous sensor.",
    )
    fingerstick: SensorSettings = Field(
        default_factory=lambda: SensorSettings(sd_mg_dl=5.0, sd_share=0.05),
        description="Of a fingerstick.",
    )
    score_sd: float = Field(
        0.3, ge=0, description="First SD of slow scores of people without a fit, in prior SD."
    )
    drift_sd_per_day: float = Field(
        0.1, ge=0, description="Random walk of slow scores: SD after a day, in prior SD."
    )
    return_days: float = Field(
        14.0, gt=0, description="In which slow scores go back to the person's own."
    )
    plasma_sd_per_h: float = Field(
        0.15, ge=0, description="Log of glucose in plasma: SD after an hour of what nobody logged."
    )
    carbs_sd_per_h: float = Field(
        0.2, ge=0, description="Log of the carbohydrate in stomach and gut: SD after an hour."
    )
    latent_sd_per_h: float = Field(0.3, ge=0, description="Latent state: SD after an hour.")
    reach_hours: float = Field(
        6.0, gt=0, le=24, description="What is at most so late replays the hours since."
    )
    path_days: int = Field(120, ge=1, le=400, description="How many days of the path are kept.")
    start: Literal["encoder", "filter"] = Field(
        "encoder",
        description="Where forecasts start: at the encoder's body and latent state with the "
        "filtered slow scores, or at the filter's own.",
    )
