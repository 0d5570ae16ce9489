import stat
from pathlib import Path

import pytest

from hybridtwin.machine import machine_code

SOURCE = 'extern "C" int answer() { return %d; }'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "hybridtwin"


def made(number: int) -> int:
    library = machine_code(SOURCE % number, ["-O1"], "nothing")
    assert library is not None
    answer: int = library.answer()
    return answer


def test_a_program_is_made_once_and_kept_for_this_user_alone(home: Path) -> None:
    assert made(41) == 41
    (first,) = home.iterdir()
    before = first.stat()
    assert made(41) == 41
    (second,) = home.iterdir()
    assert (second, second.stat().st_ino) == (first, before.st_ino)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert made(42) == 42
    assert len(list(home.iterdir())) == 2


def test_nothing_is_loaded_from_where_others_may_write(home: Path) -> None:
    home.mkdir()
    home.chmod(0o777)
    assert made(43) == 43
    assert list(home.iterdir()) == []


def test_without_a_place_to_keep_it_the_program_is_made_all_the_same(home: Path) -> None:
    home.write_text("no folder")
    assert made(44) == 44
