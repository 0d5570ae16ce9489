"""What people send as an archive stays in its folder, and does not fill the disk."""

import io
import stat
import tracemalloc
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridtwin.errors import ImportFormatError
from serving.archives import check, unpack
from serving.schema import MAX_UNPACKED_BYTES

NAME = "Ada-Canaryson"


def _zip(*members, compression=zipfile.ZIP_DEFLATED):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for member, content in members:
            archive.writestr(member, content)
    return packed.getvalue()


def _link():
    link = zipfile.ZipInfo(NAME)
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    return link


def _encrypted():
    packed = bytearray(_zip((NAME, b"x")))
    packed[packed.index(b"PK\x01\x02") + 8] |= 1
    return bytes(packed)


def _lying():
    """A bomb that states a few bytes in both of its headers."""
    packed = bytearray(_zip((NAME, bytes(MAX_UNPACKED_BYTES + 1))))
    for header, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        begin = packed.index(header) + at
        packed[begin : begin + 4] = (9).to_bytes(4, "little")
    return bytes(packed)


BAD = {
    "upwards": _zip((f"../{NAME}.csv", b"x")),
    "upwards within": _zip((f"a/../../{NAME}.csv", b"x")),
    "absolute": _zip((f"/etc/{NAME}.csv", b"x")),
    "drive": _zip((f"C:{NAME}.csv", b"x")),
    "backslash": _zip((f"..\\{NAME}.csv", b"x")),
    "line's end": _zip((f"{NAME}\n.csv", b"x")),
    "link": _zip((_link(), b"/etc/passwd")),
    "bomb": _zip((NAME, bytes(MAX_UNPACKED_BYTES + 1))),
    "unusual": _zip((NAME, b"x"), compression=zipfile.ZIP_BZIP2),
    "many small bombs": _zip(*((f"{i}.csv", bytes(2**20)) for i in range(65))),
    "many files": _zip(*((f"{i}.csv", b"") for i in range(501))),
    "encrypted": _encrypted(),
    "cut": _zip((NAME, b"x" * 100))[:-30],
    "no archive": b"PK\x03\x04" + bytes(100),
}


@pytest.mark.parametrize("trick", BAD)
def test_tricks_are_refused_at_the_door_without_naming_anybody(trick, tmp_path):
    for refuses in (lambda: check(BAD[trick]), lambda: unpack(BAD[trick], tmp_path)):
        with pytest.raises(ImportFormatError) as refused:
            refuses()
        assert NAME not in str(refused.value)
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    "packed",
    [_lying(), _zip(("a", b"x"), ("a/b", b"y")), _zip(("a/b", b"x"), ("a", b"y"))],
    ids=["lies about its size", "below a file", "a folder's name"],
)
def test_what_shows_only_while_unpacking_is_refused_then(packed, tmp_path):
    check(packed)
    tracemalloc.start()
    with pytest.raises(ImportFormatError, match="broken"):
        unpack(packed, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MAX_UNPACKED_BYTES / 10
    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) <= 9


@given(content=st.binary(max_size=300), at=st.integers(0, 200))
def test_bytes_of_any_kind_are_refused_or_stay_inside(tmp_path_factory, content, at):
    good = _zip(("folder/a.csv", b"x" * 50), ("folder/b.csv", b"y"))
    home = tmp_path_factory.mktemp("unpacked")
    for packed in (content, b"PK\x03\x04" + content, good[:at] + content + good[at:]):
        inside = home / "inside"
        inside.mkdir(exist_ok=True)
        try:
            assert unpack(packed, inside).is_relative_to(inside)
        except ImportFormatError:
            continue
    assert [file.name for file in home.iterdir()] == ["inside"]


def test_a_folder_is_read_below_its_own_name_and_without_what_a_system_adds(tmp_path):
    packed = _zip(("mine/a.csv", b"1"), ("mine/b/c.json", b"2"), ("__MACOSX/mine/._a.csv", b"3"))
    found = unpack(packed, tmp_path)
    files = {str(file.relative_to(found)): file.read_bytes() for file in found.rglob("*.*")}
    assert files == {"a.csv": b"1", "b/c.json": b"2"}


def test_an_archive_in_an_archive_stays_packed(tmp_path):
    inner = _zip(("a.csv", b"1"))
    found = unpack(_zip(("inner.zip", inner)), tmp_path)
    assert [file.read_bytes() for file in found.iterdir()] == [inner]


@pytest.mark.parametrize(
    ("content", "name"), [(b"time;x", "export-0001.csv"), (b"\xef\xbb\xbf [{", "export-0001.json")]
)
def test_a_single_file_is_named_by_what_it_is(tmp_path, content, name):
    found = unpack(content, tmp_path)
    assert (found.name, found.read_bytes()) == (name, content)
