"""What the nightly review explains and suggests; see configs/review.yaml."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Percent = Annotated[float, Field(gt=0, le=100)]
Hours = Annotated[float, Field(gt=0, le=12)]


class ReviewSettings(BaseModel):
    """Numbers of the nightly review."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep_current: bool = Field(
        False,
        description="Whether to learn first what each patient's forecasts missed in the weeks "
        "before, for some tenths of a second of a processor to some seconds each: the fan is "
        "sharper by some percent, lows of a night are told no better. A service does so by day.",
    )
    explain_from: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Probability of a low from which on a night is explained, and help looked for.",
    )
    suggest: bool = Field(
        False,
        description="Whether to look for what would help, which takes as long again as the rest; "
        "how good it is, tells the protocol review-suggestions. The clinic's pages always do.",
    )
    prevents_at_least: float = Field(
        0.85, gt=0, le=1, description="Share of the paths with a low that a suggestion must spare."
    )
    very_high_at_most: float = Field(
        0.3, ge=0, le=1, description="Share of these that it may lift above 250 mg/dL."
    )
    long_high_min: float = Field(
        120, gt=0, description="How long above 180 mg/dL is told as long, minutes."
    )
    snack_after_min: float = Field(10, ge=0, description="When a snack is eaten, from now.")
    snacks_g: tuple[Annotated[float, Field(gt=0, le=100)], ...] = Field(
        (10, 15, 20, 25, 30, 40, 50, 60),
        description="Snacks that are tried, g of carbohydrate.",
    )
    basals: tuple[tuple[Percent, Hours], ...] = Field(
        (),
        description="Less basal insulin that is tried: by how many percent, for how many hours. "
        "None as it comes: on virtual people it came too late, and made highs towards morning.",
    )
    corrected_above_mg_dl: float = Field(
        180,
        gt=0,
        description="A last reading above which people correct; then nothing else is suggested "
        "than to hold that back.",
    )
