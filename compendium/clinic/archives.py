"""Archives of images, unpacked without trusting them."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from engine.errors import InputError
from engine.progress import progress

LARGEST = 200 * 2**30  # bytes, unpacked
MOST = 5_000_000  # files
_BLOCK = 2**20
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError,
           NotImplementedError, ValueError)  # fmt: skip


_Archive = tarfile.TarFile | zipfile.ZipFile


@dataclass(frozen=True)
class _Member:
    """A file or folder of an archive; ``kind`` is "file", "folder" or what else it is."""

    name: str
    kind: str
    handle: tarfile.TarInfo | zipfile.ZipInfo


def unpack(archive: str | Path, folder: str | Path) -> int:
    """Unpack a zip or tar archive (plain, gz, bz2, xz) into ``folder``; returns how many files.

    Whole or not at all: files go to a hidden folder first. Rights and owners are not taken over.

    Raises
    ------
    InputError
        No such archive, a damaged one, one with links or devices or with names that lead out of the
        folder, or one that grows beyond ``LARGEST`` bytes or ``MOST`` files; ``folder`` is there
        and not empty.
    """
    archive, folder = Path(archive), Path(folder)
    if not archive.is_file():
        raise InputError(f"{archive}: no such file. Give the path of a zip or tar archive.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is there already. Name a folder that is new or empty.")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with closing(_open(archive)) as opened:
            members = [_checked(member, archive) for member in _members(opened)]
            _check_names(members, archive)
            partial.mkdir(parents=True)
            left = LARGEST
            for member in progress(members, label="files"):
                left -= _extract(opened, member, partial, left)
    except _DAMAGE as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{archive}: cannot be unpacked ({type(error).__name__}: {error}). Nothing was kept; "
            "download it again, or free some space."
        ) from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if folder.exists():
        folder.rmdir()
    partial.rename(folder)
    return sum(member.kind == "file" for member in members)


def _open(archive: Path) -> _Archive:
    if zipfile.is_zipfile(archive):
        return zipfile.ZipFile(archive)
    return tarfile.open(archive)


def _members(opened: _Archive) -> Iterator[_Member]:
    if isinstance(opened, zipfile.ZipFile):
        for info in opened.infolist():
            mode = info.external_attr >> 16  # of Unix; 0 where the archive has none
            plain = stat.S_ISREG(mode) or stat.S_ISDIR(mode) or not stat.S_IFMT(mode)
            kind = ("folder" if info.is_dir() else "file") if plain else "link or device"
            yield _Member(info.filename, kind, info)
        return
    for entry in opened:
        kind = "file" if entry.isreg() else "folder" if entry.isdir() else "link or device"
        yield _Member(entry.name, kind, entry)


def _checked(member: _Member, archive: Path) -> _Member:
    path = PurePosixPath(member.name)
    windows = PureWindowsPath(member.name)
    leads_out = path.is_absolute() or windows.anchor or ".." in {*path.parts, *windows.parts}
    if member.kind == "link or device" or leads_out:
        what = "leads out of the folder" if leads_out else "is a link or device"
        raise InputError(
            f"{archive}: its member {member.name!r} {what}. Nothing was unpacked; do not use this "
            "archive, or unpack it by hand."
        )
    return member


def _check_names(members: list[_Member], archive: Path) -> None:
    if len(members) > MOST:
        raise InputError(f"{archive}: {len(members)} members, at most {MOST}. Split it.")
    names = [PurePosixPath(member.name) for member in members if member.kind == "file"]
    twice = len(names) - len(set(names))
    if twice:
        raise InputError(f"{archive}: {twice} files have the name of another. Pack it anew.")


def _extract(opened: _Archive, member: _Member, folder: Path, left: int) -> int:
    """Write one member below ``folder``; returns its bytes, counted and not as declared."""
    place = folder / member.name
    if member.kind == "folder":
        place.mkdir(parents=True, exist_ok=True)
        return 0
    place.parent.mkdir(parents=True, exist_ok=True)
    is_zip = isinstance(opened, zipfile.ZipFile)
    stream = opened.open(member.handle) if is_zip else opened.extractfile(member.handle)
    written = 0
    with stream, place.open("xb") as out:
        for block in _blocks(stream):
            written += len(block)
            if written > left:
                raise InputError(
                    f"{member.name}: with it the archive unpacks to more than {LARGEST} bytes. "
                    "Nothing was kept; split it, or unpack it by hand."
                )
            out.write(block)
    return written


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    while block := stream.read(_BLOCK):
        yield block
