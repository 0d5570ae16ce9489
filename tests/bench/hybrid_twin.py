"""How fast the whole hybrid twin is: days of a large batch, and one patient's night."""

from dataclasses import replace
from functools import partial

import torch

from hybridtwin.dynamics import walk
from hybridtwin.hybrid import Present
from hybridtwin.inputs import Future
from hybridtwin.members import MEMBERS
from hybridtwin.native import native_walk
from hybridtwin.neural.features import FEATURES
from hybridtwin.physiology.body import INPUTS
from hybridtwin.physiology.parameters import NAMES
from hybridtwin.physiology.steady import steady_state
from hybridtwin.registry import load_twin
from hybridtwin.twin import Twin
from hybridtwin.units import STEP_MIN, steps
from tests.bench.frame import Row, median_s
from tests.bench.peers import simglucose_patient_days_s

PEOPLE = 4096
DAY_MIN = 24 * 60
NIGHT_MIN = 8 * 60
BASAL_U_H = 0.8


def rows() -> list[Row]:
    torch.manual_seed(0)
    twin, compiled = load_twin(), native_walk()
    with torch.inference_mode():
        many, day = _people(twin, PEOPLE), _future(PEOPLE, DAY_MIN)
        one, night = _people(twin, MEMBERS), _future(MEMBERS, NIGHT_MIN)
        by_torch = twin.model.roll(one, night, walk)
        torch.testing.assert_close(
            twin.model.roll(one, night, compiled), by_torch, rtol=1e-4, atol=1e-3
        )
        batch_s = median_s(partial(twin.model.roll, many, day, compiled), repeats=5)
        eager_batch_s = median_s(partial(twin.model.roll, many, day, walk), repeats=1, warm_ups=0)
        night_s = median_s(partial(twin.model.roll, one, night, compiled), repeats=41)
        eager_night_s = median_s(partial(twin.model.roll, one, night, walk), repeats=5)
    return [
        Row(
            "twin_batch",
            PEOPLE / batch_s,
            "patient-days/s",
            "simglucose 0.2.11",
            simglucose_patient_days_s(),
        ),
        Row(
            "twin_batch_native",
            PEOPLE / batch_s,
            "patient-days/s",
            "the same by torch",
            PEOPLE / eager_batch_s,
        ),
        Row(
            "twin_one_patient",
            1000 * night_s,
            "ms p50",
            "the same by torch",
            1000 * eager_night_s,
            less_is_better=True,
        ),
    ]


def _people(twin: Twin, count: int) -> Present:
    """People who differ as the prior has it, at rest."""
    shape = twin.config.shape
    people = twin.model.population(count)
    people = replace(people, scores=people.scores + 0.5 * torch.randn(count, len(NAMES)))
    return Present(
        steady_state(people.values(), torch.full((count,), BASAL_U_H)),
        torch.zeros(count, shape.latent),
        torch.zeros(count, shape.context),
        people,
        torch.zeros(count, FEATURES),
    )


def _future(count: int, minutes: int) -> Future:
    """Basal throughout; a meal of 60 g, 6 U with it, and half an hour of exercise later."""
    length = steps(minutes)
    amounts = torch.zeros(length, len(INPUTS), count)
    amounts[:, INPUTS.index("bolus_u")] = BASAL_U_H / 60
    amounts[steps(60), INPUTS.index("bolus_u")] += 6 / STEP_MIN
    amounts[steps(60), INPUTS.index("carbs_g")] = 60 / STEP_MIN
    amounts[steps(240) : steps(270), INPUTS.index("exertion")] = 0.5
    clock = (STEP_MIN * torch.arange(float(length)) + 8 * 60) % DAY_MIN
    return Future(
        amounts,
        torch.zeros(length, 4, count),
        clock.unsqueeze(-1).expand(-1, count),
        torch.zeros(count),
    )
