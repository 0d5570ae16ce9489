"""Members: a present as many, alike but for what is not known of a person's parameters."""

from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from hybridtwin.hybrid import Present

MEMBERS: Final = 200


def ensemble(present: Present, members: int, score_sd: float | Tensor, seed: int) -> Present:
    """M members around each of B presents, one present after the other.

    The first member of each is the present itself; the others are drawn alike for all.

    Args:
        present: B.
        members: M.
        score_sd: Standard deviation of the standard scores, one for all or (B * M, 1).
        seed: Of the draw.
    """
    each = torch.arange(len(present.latent)).repeat_interleave(members)
    many = present.rows(each)
    scores = many.people.scores
    draw = torch.randn(members, scores.shape[1], generator=torch.Generator().manual_seed(seed))
    draw[0] = 0
    scores = scores + score_sd * draw.repeat(len(present.latent), 1)
    return replace(many, people=replace(many.people, scores=scores))
