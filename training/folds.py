"""Folds: which people are left out together, so that they can be scored as people never seen.

Training leaves a fold out and the evaluation scores it, each by this one rule.
"""

import hashlib
from collections.abc import Sequence

from hybridtwin.record import Record


def folds(records: Sequence[Record], count: int) -> list[int]:
    """The fold, 0 to `count` - 1, of each record's person.

    People are dealt out cohort by cohort, in the order of the SHA-256 of their ids: folds are of
    equal size, within every cohort too (to within one person), and the same for the same people.

    Args:
        records: In any order, one per person.
        count: How many folds.
    """

    def turn(at: int) -> tuple[str, str]:
        participant = records[at].profile.participant
        return records[at].provenance.source, hashlib.sha256(participant.encode()).hexdigest()

    order = sorted(range(len(records)), key=turn)
    return [fold for _, fold in sorted((at, n % count) for n, at in enumerate(order))]
