"""The personal fit against closed forms and against differences taken the plain way."""

import pytest
import torch

from hybridtwin.history import join
from hybridtwin.hybrid import People
from hybridtwin.physiology.parameters import FITTED_COLUMNS
from hybridtwin.registry import load_twin
from hybridtwin.units import steps
from training.batch import cut_batch, learning_part, usable_anchors
from training.estimates import Estimate
from training.module import with_own
from training.personalise import PersonalSettings, personalise
from training.sensitivity import Sensitivity


def test_readings_of_straight_lines_give_the_posterior_however_they_are_split():
    """Bayesian linear regression in closed form."""
    generator = torch.Generator().manual_seed(0)
    slope = torch.randn(1, 40, 3, generator=generator, dtype=torch.float64)
    reading = torch.randn(1, 40, generator=generator, dtype=torch.float64)
    whole = torch.linalg.solve(
        slope[0].T @ slope[0] + torch.eye(3).double() / 4, slope[0].T @ reading[0]
    )
    estimate = Estimate.prior(1, 3, sd=2.0)
    for part in (slice(0, 10), slice(10, 40)):
        some = slope[:, part]
        missed = reading[:, part] - (some @ estimate.mean.double().unsqueeze(-1)).squeeze(-1)
        turned = some.transpose(1, 2)
        estimate = estimate.updated(turned @ some, (turned @ missed.unsqueeze(-1)).squeeze(-1))
    assert torch.allclose(estimate.mean[0].double(), whole, atol=1e-5)


@pytest.fixture(scope="module")
def people_and_batch(records):
    twin, part = load_twin(), learning_part(records[:2], 1.0)
    grid = join(part.timelines)
    rows = usable_anchors(grid).nonzero().flatten()
    anchors = torch.cat(
        [rows[rows < grid.offsets[1]][100:300:25], rows[rows > grid.offsets[1]][100:300:25]]
    )
    person = torch.arange(2).repeat_interleave(8)
    nothing = torch.zeros(2, twin.person.embedding.shape[1])
    everyone = with_own(twin.person, part, nothing, torch.zeros_like(part.prior_scores))
    return twin, everyone.rows(torch.tensor([1, 2])), cut_batch(grid, anchors, person, steps(120))


@pytest.mark.parametrize("is_open", [False, True])
def test_windows_expect_what_the_model_does(people_and_batch, is_open):
    twin, people, batch = people_and_batch
    with torch.inference_mode():
        windows = Sensitivity(twin, batch, people, is_open)
        present = twin.model.begin(batch.history, people, batch.person)
        expected = twin.model.roll(present, windows.future)
    assert torch.allclose(windows.trajectory, expected, atol=1e-2)


def test_slopes_foretell_a_small_change(people_and_batch):
    """Of a parameter that the encoder does not read, so that nothing but the body moves."""
    twin, people, batch = people_and_batch
    column = FITTED_COLUMNS[9]  # uptake_sensitivity
    scores = people.scores.clone()
    scores[:, column] += 0.05
    moved = People(people.embedding, scores, people.weight_kg, people.beta_cells)
    with torch.inference_mode():
        before = Sensitivity(twin, batch, people, is_open=False)
        change = Sensitivity(twin, batch, moved, is_open=False).trajectory - before.trajectory
        foretold = 0.05 * before.by_scores()[..., 9]
    assert change.abs().max() > 0.3
    assert (change - foretold).abs().max() < 0.05 * change.abs().max()


def test_a_person_is_fitted_alone_as_among_others(records):
    settings = PersonalSettings(windows=20, rounds=2, horizon_min=60)
    alone = personalise(load_twin(), records[:1], settings)[0]
    among = personalise(load_twin(), records[:2], settings)[0]
    assert alone.kept == among.kept
    assert alone.loss_after == pytest.approx(among.loss_after, rel=1e-3)
    assert torch.allclose(alone.twin.person.scores, among.twin.person.scores, atol=1e-2)
