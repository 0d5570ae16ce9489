"""What a twin is besides its weights."""

from pydantic import BaseModel, ConfigDict, Field

from hybridtwin.hybrid import ModelShape

POPULATION = "population"


class TwinConfig(BaseModel):
    """What a twin is besides its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(POPULATION, description="population, or the participant it belongs to.")
    fitted: bool = Field(
        False, description="Whether what is personal was fitted; if not, it is the population's."
    )
    version: str = Field("untrained", description="Which training run it comes from.")
    base: str | None = Field(
        None, description="Of a personal twin: the population twin it rests on; None is the box."
    )
    learnt_from: tuple[str, ...] = Field(
        (), description="Participants whose recordings trained the weights, where it is stated."
    )
    shape: ModelShape = Field(default_factory=ModelShape)
    score_sd: float = Field(
        0.3, ge=0, description="Uncertainty of a person's parameters, in prior SD of the log."
    )
    error_log_decay: float = Field(0.3, ge=0, description="Exponent of errors' correlation.")
    error_memory_min: float = Field(600.0, gt=0, description="Decay time of it, minutes.")

    @property
    def has_base(self) -> bool:
        """Whether it belongs to one person and rests on a population twin's weights."""
        return self.name != POPULATION

    def has_learnt_from(self, participant: str) -> bool:
        """Whether it knows a participant's own past."""
        return participant == self.name or participant in self.learnt_from
