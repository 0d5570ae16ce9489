"""Whatever is asked, the answer is one that the description promises."""

from serving.timely import LONGEST_S
from tests.serving.v1.fuzz import fuzz


def test_no_answer_outside_of_the_description(sqlite_site, tmp_path):
    # One worker: Hypothesis' threads change each other's limit of recursion, and fail.
    options = ("--phases", "fuzzing", "--max-examples", "8", "--workers", "1")
    assert fuzz(sqlite_site, tmp_path, *options, patience_s=LONGEST_S) > 200
