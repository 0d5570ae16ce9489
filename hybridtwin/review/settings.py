"""What the nightly review explains and suggests; see configs/review.yaml."""

from pydantic import BaseModel, ConfigDict, Field


class ReviewSettings(BaseModel):
    """Numbers of the nightly review."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    explain_from: float = Field(
        0.1, ge=0, le=1, description="Probability of a low from which on a night is explained."
    )
