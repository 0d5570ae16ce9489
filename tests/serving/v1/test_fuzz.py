"""Whatever is asked, the answer is one that the description promises."""

from tests.serving.v1.fuzz import fuzz


def test_no_answer_outside_of_the_description(sqlite_site, tmp_path):
    requests = fuzz(
        sqlite_site, tmp_path, "--phases", "fuzzing", "--max-examples", "8", "--workers", "2"
    )
    assert requests > 200
