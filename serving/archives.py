"""A file as somebody exported it, or a zip of such files, unpacked where nothing can go wrong."""

import stat
import zipfile
from io import BytesIO
from pathlib import Path, PurePosixPath
from shutil import copyfileobj
from typing import Final

from hybridtwin.errors import ImportFormatError, Problem
from serving.schema import MAX_UNPACKED_BYTES

_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_JSON: Final = (b"[", b"{")
_MARK: Final = b"\xef\xbb\xbf"  # some programs begin UTF-8 with it
_MAX_FILES: Final = 500
_ENCRYPTED: Final = 0x1
_JUNK: Final = "__MACOSX/"  # what macOS adds of its own
_PACKED: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Others are unpacked without a bound."""
_PLAIN: Final = (0, stat.S_IFREG, stat.S_IFDIR)


def check(content: bytes) -> None:
    """Refuse an archive that is none, or would fill the disk or leave its folder.

    Raises:
        ImportFormatError: It is one of these; the text names no file, whose name may name a person.
    """
    if content.startswith(_ZIP):
        with _opened(content) as archive:
            _members(archive)


def unpack(content: bytes, folder: Path) -> Path:
    """Write a file, or a zip's files, into an empty folder; the path that an importer reads.

    A single file gets a name of its own, with a number, as the names in published sets have.

    Raises:
        ImportFormatError: See `check`; or the archive is broken.
    """
    if not content.startswith(_ZIP):
        begin = content.removeprefix(_MARK).lstrip()[:1]
        single = folder / ("export-0001.json" if begin in _JSON else "export-0001.csv")
        single.write_bytes(content)
        return single
    with _opened(content) as archive:
        for member in _members(archive):
            target = folder / member.filename
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as packed, target.open("xb") as file:
                    copyfileobj(packed, file)  # read at once, it could be more than it states
            except Exception as error:  # every decompressor and file system has its own
                raise _refused("is broken, or its files overwrite each other") from error
    while len(inside := list(folder.iterdir())) == 1 and inside[0].is_dir():
        folder = inside[0]
    return folder


def _opened(content: bytes) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(BytesIO(content))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise _refused("is broken") from error


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files of an archive, all of them harmless."""
    listed = archive.infolist()
    if len(listed) > _MAX_FILES:
        raise _refused(f"holds more than {_MAX_FILES} files")
    # read in small parts, no member gives more bytes than it states
    if sum(member.file_size for member in listed) > MAX_UNPACKED_BYTES:
        raise _refused(f"holds more than {MAX_UNPACKED_BYTES // 2**20} MiB")
    for member in listed:
        if member.flag_bits & _ENCRYPTED:
            raise _refused("is encrypted")
        if member.compress_type not in _PACKED:
            raise _refused("is packed in an unusual way")
        if stat.S_IFMT(member.external_attr >> 16) not in _PLAIN or not _stays(member.filename):
            raise _refused("holds what is no plain file inside of it")
    return [one for one in listed if not one.is_dir() and not one.filename.startswith(_JUNK)]


def _stays(name: str) -> bool:
    path = PurePosixPath(name)
    return (
        name.isprintable()
        and not path.is_absolute()
        and ".." not in path.parts
        and not set(name) & set("\\:")
    )


def _refused(what: str) -> ImportFormatError:
    advice = "Pack the exported files of one person, and send them again."
    return ImportFormatError([Problem("the archive", what, advice)])
