"""Archives of images, unpacked without trusting them."""

from __future__ import annotations

import shutil
import stat
import tarfile
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from engine.errors import InputError
from engine.progress import progress

LARGEST = 200 * 2**30  # bytes, unpacked
MOST = 5_000_000  # files
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError,
           NotImplementedError, ValueError)  # fmt: skip


@dataclass(frozen=True)
class _Member:
    """A file or folder of an archive; ``kind`` is "file", "folder" or what else it is.

    ``size`` is what the archive says: neither library writes more than that, whatever there is.
    """

    name: str
    kind: str
    size: int
    handle: tarfile.TarInfo | zipfile.ZipInfo


def unpack(archive: str | Path, folder: str | Path) -> int:
    """Unpack a zip or tar archive (plain, gz, bz2, xz) into ``folder``; returns how many files.

    Whole or not at all: files go to a hidden folder first. Rights and owners are not taken over.

    Raises
    ------
    InputError
        No such archive, a damaged one, one with links, devices or sparse files or with names that
        lead out of the folder, or one that grows beyond ``LARGEST`` bytes or ``MOST`` members;
        ``folder`` is there and not empty.
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
            members = _checked(_members(opened), archive)
            partial.mkdir(parents=True)
            for member in progress(members, label="files"):
                opened.extract(member.handle, partial)
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


class _Tar(tarfile.TarFile):
    """Lets pass what Python's filter for data does (PEP 706), with today's date, usual rights."""

    @staticmethod
    def extraction_filter(entry: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
        return tarfile.data_filter(entry, folder).replace(mode=None, mtime=time.time(), deep=False)


def _open(archive: Path) -> tarfile.TarFile | zipfile.ZipFile:
    return zipfile.ZipFile(archive) if zipfile.is_zipfile(archive) else _Tar.open(archive)


def _members(opened: tarfile.TarFile | zipfile.ZipFile) -> Iterator[_Member]:
    if isinstance(opened, zipfile.ZipFile):
        for info in opened.infolist():
            mode = info.external_attr >> 16  # of Unix; 0 where the archive has none
            plain = stat.S_ISREG(mode) or stat.S_ISDIR(mode) or not stat.S_IFMT(mode)
            kind = ("folder" if info.is_dir() else "file") if plain else "link or device"
            yield _Member(info.filename, kind, info.file_size, info)
        return
    for entry in opened:
        kind = "file" if entry.isreg() else "folder" if entry.isdir() else "link or device"
        if entry.issparse():  # may take more on its way to the disk than its size
            kind = "sparse file"
        yield _Member(entry.name, kind, max(0, entry.size), entry)


def _checked(found: Iterable[_Member], archive: Path) -> list[_Member]:
    """All members; refuses what the libraries would take or pass over in silence."""
    members: list[_Member] = []
    size = 0
    for member in found:
        path, windows = PurePosixPath(member.name), PureWindowsPath(member.name)
        leads_out = path.is_absolute() or windows.anchor or ".." in {*path.parts, *windows.parts}
        if member.kind not in ("file", "folder") or leads_out:
            what = "leads out of the folder" if leads_out else f"is a {member.kind}"
            raise InputError(
                f"{archive}: its member {member.name!r} {what}. Nothing was unpacked; do not use "
                "this archive, or unpack it by hand."
            )
        members.append(member)
        size += member.size
        if size > LARGEST or len(members) > MOST:
            raise InputError(
                f"{archive}: unpacks to more than {LARGEST} bytes or {MOST} members; the first "
                f"beyond it is {member.name!r}. Nothing was kept; split it, or unpack it by hand."
            )
    names = [PurePosixPath(member.name) for member in members if member.kind == "file"]
    twice = len(names) - len(set(names))
    if twice:
        raise InputError(f"{archive}: {twice} files have the name of another. Pack it anew.")
    return members
