"""A belief in plain values: the person's parameters in their units, and how sure they are."""

from datetime import datetime
from typing import Final

import torch
from pydantic import Field

from hybridtwin.belief import Belief
from hybridtwin.physiology.parameters import FITTED, PARAMETERS
from hybridtwin.trust import Trust
from hybridtwin.twin import Twin
from serving.v1.schema import Answer

_LEVELS: Final = (0.1, 0.9)
_MIN_PER_H: Final = 60
_DIGITS: Final = 4  # significant


class ParameterBelief(Answer):
    """One parameter of the body as the twin holds it; see BODY.md for what each means."""

    name: str = Field(description="Its name.")
    unit: str = Field(description="Its unit; 1 for none.")
    value: float = Field(description="Its value in this unit.")
    low: float = Field(description="10 % of the ensemble lie below, in this unit.")
    high: float = Field(description="10 % of the ensemble lie above, in this unit.")
    personal: bool = Field(
        description="Whether it was fitted to this person; if not, it is what the profile and the "
        "population say."
    )


class BeliefReport(Answer):
    """What the twin holds true of a person at one time."""

    time: datetime = Field(description="When it was formed.")
    last_reading_time: datetime = Field(description="When glucose was last read.")
    model: str = Field(description="Which version of the twin formed it.")
    trust: Trust = Field(description="How far to rely on it, and why.")
    usual_basal_u_h: float = Field(
        ge=0, description="Pump basal in U/h that goes on unless a plan says otherwise."
    )
    parameters: list[ParameterBelief] = Field(description="The body's parameters.")


class BeliefList(Answer):
    """Beliefs over time."""

    beliefs: list[BeliefReport] = Field(description="The newest first.")


def report_of(twin: Twin, belief: Belief) -> BeliefReport:
    """A belief as plain values; how sure they are is the spread of its ensemble."""
    values = belief.present.people.values()
    parameters = []
    for parameter in PARAMETERS:
        members = getattr(values, parameter.name)
        low, high = torch.quantile(members, torch.tensor(_LEVELS)).tolist()
        parameters.append(
            ParameterBelief(
                name=parameter.name,
                unit=parameter.unit,
                value=_rounded(float(members[0])),
                low=_rounded(low),
                high=_rounded(high),
                personal=twin.config.fitted and parameter.name in FITTED,
            )
        )
    return BeliefReport(
        time=belief.now.to_pydatetime(),
        last_reading_time=belief.last_reading_time.to_pydatetime(),
        model=model_of(twin),
        trust=belief.trust,
        usual_basal_u_h=_rounded(_MIN_PER_H * float(belief.usual_basal_u_min[0])),
        parameters=parameters,
    )


def model_of(twin: Twin) -> str:
    """Which version of which twin it is."""
    return f"{twin.config.name} {twin.config.version}"


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
