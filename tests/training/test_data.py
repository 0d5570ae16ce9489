"""Training windows hold what they claim, and nothing that is kept for scoring."""

import torch

from hybridtwin.history import HISTORY_STEPS, join
from hybridtwin.timeline import CHANNEL, MODULATORS, to_timeline
from training.batch import augmented, cut_batch, learning_part
from training.data import WindowData


def test_a_batch_is_the_timeline_around_its_anchor(records):
    timeline = to_timeline(records[0])
    grid = join([to_timeline(records[1]), timeline])
    at = 400
    row = torch.tensor([grid.offsets[1] + at])
    batch = cut_batch(grid, row, torch.tensor([1]), 6)
    glucose, bolus = CHANNEL["glucose_mg_dl"], CHANNEL["bolus_u"]
    assert batch.history.glucose_mg_dl[0, -1] == timeline.values[at, glucose]
    assert torch.equal(batch.target_mg_dl[0], timeline.values[at + 1 : at + 7, glucose])
    assert torch.equal(batch.events[0], timeline.values[at : at + 6])
    assert torch.equal(batch.events_known[0], timeline.known[at : at + 6])
    assert torch.equal(batch.target_known[0], timeline.original[at + 1 : at + 7])
    assert torch.equal(batch.minute_of_day[0], timeline.minute_of_day[at : at + 6].float())
    past = batch.history.channel("bolus_u")[0]
    assert torch.equal(past[-at:], timeline.values[:at, bolus])


def test_history_before_the_first_reading_is_unknown(records):
    grid = join([to_timeline(records[0])])
    history = grid.history(torch.tensor([grid.offsets[0] + 100]))
    assert not history.glucose_known[0, : HISTORY_STEPS - 101].any()
    assert history.glucose_known[0, -101:].all()


def test_the_last_fifth_is_never_read(records):
    part = learning_part(records, 0.8)
    for record, timeline in zip(records, part.timelines, strict=True):
        times = record.glucose["time"]
        border = times.iloc[0] + 0.8 * (times.iloc[-1] - times.iloc[0])
        readings = torch.nonzero(timeline.original).flatten()
        assert timeline.time(int(readings[-1])) <= border
        assert not timeline.known[int(readings[-1]) + 1 :, CHANNEL["glucose_mg_dl"]].any()


def test_learning_and_validation_windows_do_not_meet(records):
    data = WindowData(learning_part(records, 0.8), 0.2, (8,), (60,))
    for person, first in enumerate(data.grid.offsets):
        learn = data.learn.anchors[data.learn.person == person]
        held = data.validation.anchors[data.validation.person == person]
        assert learn.min() >= first
        assert learn.max() + 12 <= held.min()


def test_withheld_channels_are_unknown_not_zero(records):
    data = WindowData(learning_part(records[:1], 0.8), 0.2, (64,), (60,), batches_per_epoch=1)
    (batch,) = data.train_dataloader()
    torch.manual_seed(0)
    held = augmented(batch, 1.0, 0.0)
    withheld = set(CHANNEL) - {"glucose_mg_dl", "glucagon_ug", *MODULATORS, "site_loss"}
    for name in withheld:
        assert not held.history.channel_known(name).any()
        assert held.history.channel(name).sum() == 0
    assert torch.equal(held.history.glucose_mg_dl, batch.history.glucose_mg_dl)
    assert torch.equal(held.events, batch.events)
    same = augmented(batch, 0.0, 0.0)
    assert torch.equal(same.history.events, batch.history.events)
