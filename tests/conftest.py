import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The real recordings, beside the project or where HYBRIDTWIN_DATA points."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    root = Path(os.environ.get("HYBRIDTWIN_DATA", beside))
    if not root.is_dir():
        pytest.skip("the real recordings are not here: set HYBRIDTWIN_DATA to their folder")
    return root
