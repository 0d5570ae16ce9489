"""Personalisation: what is a person's own, as the mode of its posterior given their days.

Shared weights stay frozen, so that a personal twin is kilobytes. Physiological scores are learnt
from windows whose doses and meals are known, hours ahead: those tell how strongly insulin and
carbohydrate act. The embedding is learnt from windows with an open plan: those tell how this
person's days differ. Both by a Kalman filter over a few rounds of windows, linear around what is
held true by then (an extended one, equal to Gauss-Newton steps), everyone side by side. A fit that
does not help on the person's own last days is thrown away.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import torch
from matplotlib.figure import Figure
from mlflow import MlflowClient
from pydantic import BaseModel, ConfigDict, Field
from rich.progress import Progress
from torch import Tensor

from hybridtwin.assimilation.settings import HindcastNoise
from hybridtwin.assimilation.supposed import root_of_known, usual_errors
from hybridtwin.history import join
from hybridtwin.hybrid import People
from hybridtwin.native import native_walk
from hybridtwin.physiology.parameters import FITTED_COLUMNS
from hybridtwin.record import Record
from hybridtwin.record_files import fingerprint
from hybridtwin.registry import TRACKING_URI
from hybridtwin.twin import Twin
from hybridtwin.units import STEP_MIN, steps
from training.batch import Participants, learning_part
from training.estimates import Estimates
from training.losses import pinball_loss, trajectory_scale_mg_dl
from training.module import with_own
from training.personal_windows import Chosen, choose
from training.sensitivity import Sensitivity
from training.tracking import code_version, experiment

EXPERIMENT: Final = "personal"


class PersonalSettings(BaseModel):
    """How to fine-tune; see configs/personal.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learn_fraction: float = Field(1.0, gt=0, le=1, description="First share of time to learn from.")
    validation_fraction: float = Field(0.2, gt=0, lt=1, description="Last share of it, held back.")
    horizon_min: int = Field(240, ge=30, description="How far ahead windows are fitted, minutes.")
    windows: int = Field(160, ge=1, description="Of each person and kind, evenly in time.")
    rounds: int = Field(8, ge=1, description="How often the windows are linearised in between.")
    known_worth: float = Field(
        0.6, gt=0, description="What a window with known doses and meals is worth; they overlap."
    )
    open_worth: float = Field(
        1.2, gt=0, description="What an open one is worth, in readings with persistence's error."
    )
    outlier: float = Field(
        0.75, gt=0, description="Error, relative to the usual one, from which on it weighs less."
    )
    embedding_sd: float = Field(0.22, gt=0, description="How far embeddings lie from the usual.")
    score_sd: float = Field(0.2, ge=0, description="Uncertainty that remains, in prior SD.")


@dataclass(frozen=True)
class Fit:
    """One person's outcome.

    Attributes:
        participant: Whose.
        twin: Personal, or the population's where the fit did not help.
        kept: Whether the fit was kept.
        loss_before: Pinball loss of the population twin on the held-back days; NaN without any.
        loss_after: Of the fitted twin; NaN without any.
    """

    participant: str
    twin: Twin
    kept: bool
    loss_before: float
    loss_after: float


def personalise(twin: Twin, records: Sequence[Record], settings: PersonalSettings) -> list[Fit]:
    """Fit a twin to each of several people at once.

    Args:
        twin: The population twin to start from.
        records: Their records.
        settings: How.

    Returns:
        A fit per record with glucose, in their order.
    """
    return fit_people(twin, learning_part(records, settings.learn_fraction), settings)


def personal_twin(twin: Twin, record: Record) -> Twin:
    """This person's twin, fitted as `PersonalSettings` say; the population's if that is better.

    Raises:
        HistoryError: The record holds no glucose.
    """
    return personalise(twin, [record], PersonalSettings())[0].twin


def personalise_and_log(
    twin: Twin,
    base: str | None,
    records: Sequence[Record],
    settings: PersonalSettings,
    uri: str | None = TRACKING_URI,
) -> list[Fit]:
    """Fit with a progress bar, and log settings, data, code, losses and a figure to MLflow.

    Args:
        twin: The population twin to start from.
        base: Where it can be found again; None is the box.
        records: Whom to fit it to.
        settings: How.
        uri: The tracking store; None logs nothing.
    """
    twin = replace(twin, config=twin.config.model_copy(update={"base": base}))
    learnt = learning_part(records, settings.learn_fraction)
    with Progress() as progress:
        fits = fit_people(twin, learnt, settings, progress)
    if uri is None:
        return fits
    client = MlflowClient(tracking_uri=uri)
    run = client.create_run(experiment(EXPERIMENT, uri)).info.run_id
    for name, value in settings.model_dump().items():
        client.log_param(run, name, value)
    client.log_param(run, "data_fingerprint", fingerprint(records))
    client.log_param(run, "code_version", code_version())
    client.log_param(run, "base_version", twin.config.version)
    client.log_metric(run, "kept", sum(fit.kept for fit in fits))
    table = [
        {f.name: getattr(fit, f.name) for f in fields(fit) if f.name != "twin"} for fit in fits
    ]
    client.log_dict(run, {"fits": table}, "fits.json")
    client.log_figure(run, _figure(fits), "fits.png")
    client.set_terminated(run)
    return fits


def _figure(fits: Sequence[Fit]) -> Figure:
    drawn = Figure(figsize=(4, 4), layout="constrained")
    panel = drawn.subplots()
    before, after = [fit.loss_before for fit in fits], [fit.loss_after for fit in fits]
    panel.scatter(before, after)
    panel.axline((1, 1), slope=1, color="grey", linewidth=0.8)
    panel.set(xlabel="held-back loss, population twin", ylabel="held-back loss, personal twin")
    return drawn


def fit_people(
    twin: Twin,
    participants: Participants,
    settings: PersonalSettings,
    progress: Progress | None = None,
) -> list[Fit]:
    """Fit a twin to each of several timelines at once; see `personalise`.

    Args:
        twin: The population twin to start from.
        participants: Whom to fit it to.
        settings: How.
        progress: Where to show how far it is.
    """
    progress = progress or Progress(disable=True)
    quick, grid = replace(twin, walk=native_walk()), join(participants.timelines)
    held_back = settings.validation_fraction
    early, late = (
        [
            choose(grid, participants, days, most, steps(settings.horizon_min), is_open)
            for is_open in (False, True)
        ]
        for days, most in (
            ((0, 1 - held_back), round((1 - held_back) * settings.windows)),
            ((1 - held_back, 1), max(1, round(held_back * settings.windows))),
        )
    )
    state = Estimates.prior(
        len(participants.names), twin.person.embedding.shape[1], settings.embedding_sd
    )
    nobody = _people(twin, participants, state)
    with torch.inference_mode():
        for number in progress.track(range(settings.rounds), description="fitting"):
            part = [windows.part(number, settings.rounds) for windows in early]
            state = _learn(quick, part, participants, state, settings)
        people = _people(twin, participants, state)
        before, after = (_losses(quick, late, who, settings) for who in (nobody, people))
        # What helped there also learns from there.
        state = _learn(quick, late, participants, state, settings)
        people = _people(twin, participants, state)
    fits = []
    for i, name in enumerate(participants.names):
        kept = bool(after[i] < before[i])
        person = people.rows(torch.tensor([i])) if kept else twin.person
        sd = settings.score_sd if kept else twin.config.score_sd
        config = twin.config.model_copy(update={"name": name, "fitted": kept, "score_sd": sd})
        own = replace(twin, config=config, person=person)
        fits.append(Fit(name, own, kept, float(before[i]), float(after[i])))
    return fits


def _people(twin: Twin, participants: Participants, state: Estimates) -> People:
    """Everyone, as held true."""
    own = torch.zeros_like(participants.prior_scores)
    own[:, FITTED_COLUMNS] = state.scores.mean
    everyone = with_own(twin.person, participants, state.embedding.mean, own)
    return everyone.rows(torch.arange(1, len(participants.names) + 1))


def _learn(
    twin: Twin,
    parts: Sequence[Chosen],
    participants: Participants,
    state: Estimates,
    settings: PersonalSettings,
) -> Estimates:
    """What is held true after one more round of windows, complete and open ones."""
    people = _people(twin, participants, state)
    complete, hidden = (_learnt(twin, part, people, settings) for part in parts)
    return Estimates(state.scores.updated(*complete), state.embedding.updated(*hidden))


def _learnt(
    twin: Twin,
    chosen: Chosen,
    people: People,
    settings: PersonalSettings,
) -> tuple[Tensor, Tensor]:
    """Information (N, K, K) and gain (N, K) from some of the windows; see `Estimate.updated`.

    About scores from windows with known doses and meals, about embeddings from the others.
    """
    count = len(people.scores)
    size = people.embedding.shape[1] if chosen.is_open else len(FITTED_COLUMNS)
    information, gain = torch.zeros(count, size, size), torch.zeros(count, size)
    covariance = _usual_errors(chosen)
    for batch in chosen.batches():
        windows = Sensitivity(twin, batch, people, chosen.is_open)
        slope = windows.by_embedding() if chosen.is_open else windows.by_scores()
        root = root_of_known(covariance, batch.target_known)
        missed = batch.target_mg_dl - windows.trajectory
        both = torch.cat([slope, missed.unsqueeze(-1)], dim=-1)
        both = torch.where(batch.target_known.unsqueeze(-1), both, 0.0)
        both = torch.linalg.solve_triangular(root, both, upper=False)
        slope, missed = both[..., :-1], both[..., -1]
        readings = batch.target_known.sum(1).clamp(min=1)
        size_of_error = (missed.square().sum(1) / readings).sqrt()
        trusted = (settings.outlier / size_of_error).clamp(max=1)
        worth = settings.open_worth / readings if chosen.is_open else settings.known_worth
        weighted = (slope * (worth * trusted).view(-1, 1, 1)).transpose(1, 2)
        information.index_add_(0, batch.person, weighted @ slope)
        gain.index_add_(0, batch.person, (weighted @ missed.unsqueeze(-1)).squeeze(-1))
    return information, gain


def _usual_errors(chosen: Chosen) -> Tensor:
    """(H, H) covariance of what windows miss, (mg/dL)^2.

    Where doses and meals are known, errors of neighbouring readings are alike, as those of
    hindcasts are: what tells of parameters is how glucose changes. Of an open window nobody knows
    what comes, and its readings count by themselves.
    """
    if chosen.is_open:
        minutes = STEP_MIN * torch.arange(1.0, chosen.ahead + 1)
        return torch.diag(trajectory_scale_mg_dl(minutes).square())
    return usual_errors(chosen.ahead, HindcastNoise()).float()


def _losses(
    twin: Twin, parts: Sequence[Chosen], people: People, settings: PersonalSettings
) -> Tensor:
    """(N,) mean pinball loss of each person's windows; NaN without any."""
    minutes = STEP_MIN * torch.arange(1.0, steps(settings.horizon_min) + 1)
    total, windows_of = torch.zeros(len(people.scores)), torch.zeros(len(people.scores))
    for chosen in parts:
        for batch in chosen.batches():
            windows = Sensitivity(twin, batch, people, chosen.is_open)
            quantiles = twin.model.log_quantiles(windows.present, windows.future.is_open, minutes)
            loss = pinball_loss(batch.target_mg_dl, windows.trajectory, quantiles)
            mean = (loss * batch.target_known).sum(1) / batch.target_known.sum(1).clamp(min=1)
            total.index_add_(0, batch.person, mean)
            windows_of.index_add_(0, batch.person, batch.target_known.any(1).float())
    return total / windows_of
