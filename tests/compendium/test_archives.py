"""Archives: what is unpacked, and that no archive writes anywhere else or leaves a part."""

import io
import random
import tarfile
import zipfile

import pytest

from compendium.clinic import archives
from compendium.clinic.archives import unpack
from engine.errors import InputError

FILES = {"ed1/alldata/1/86.png": b"one", "ed1/alldata/2/86.png": b"two", "notes.txt": b""}


def pack(path, files=FILES, special=()):
    """An archive of ``files``; its kind is that of the name."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in [*files.items(), *special]:
                archive.writestr(name, content)
        return path
    mode = {".tar": "w", ".gz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}[path.suffix]
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for entry in special:
            archive.addfile(entry)
    return path


def found(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def is_untouched(tmp_path):
    """Nothing but the archive itself is there."""
    return [path.name for path in tmp_path.iterdir()] == ["archive"]


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "archive"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_every_kind_is_unpacked(place, tmp_path, name):
    assert unpack(pack(place / name), tmp_path / "out") == 3
    assert found(tmp_path / "out") == FILES
    with pytest.raises(InputError, match="is there already"):
        unpack(place / name, tmp_path / "out")


OUTSIDE = ["../out.txt", "/etc/passwd", "a/../../b", "c:\\windows", "a\\..\\b"]


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_out_is_refused(place, tmp_path, suffix, name):
    bad = pack(place / f"bad{suffix}", {**FILES, name: b"x"})
    with pytest.raises(InputError, match="leads out of the folder"):
        unpack(bad, tmp_path / "out")
    assert is_untouched(tmp_path)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_of_a_tar_are_refused(place, tmp_path, kind):
    entry = tarfile.TarInfo("link")
    entry.type, entry.linkname = kind, "/etc/passwd"
    with pytest.raises(InputError, match=r"'link' is a link or device"):
        unpack(pack(place / "bad.tar", special=[entry]), tmp_path / "out")
    assert is_untouched(tmp_path)


def test_a_link_in_a_zip_is_refused(place, tmp_path):
    entry = zipfile.ZipInfo("link")
    entry.external_attr = 0o120777 << 16
    with pytest.raises(InputError, match=r"'link' is a link or device"):
        unpack(pack(place / "bad.zip", special=[(entry, b"/etc/passwd")]), tmp_path / "out")
    assert is_untouched(tmp_path)


@pytest.mark.parametrize("suffix", [".zip", ".gz"])
def test_an_archive_that_grows_without_end_is_stopped(place, tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(archives, "LARGEST", 2**20)
    bomb = pack(place / f"bomb{suffix}", {"a": bytes(2**19), "b": bytes(2**20)})
    assert bomb.stat().st_size < 2**14
    with pytest.raises(InputError, match="more than 1048576 bytes"):
        unpack(bomb, tmp_path / "out")
    assert is_untouched(tmp_path)


def test_a_zip_that_says_less_than_it_holds_is_refused(place, tmp_path):
    bad = pack(place / "bad.zip", {"a": bytes(2**20)})
    content, real = bad.read_bytes(), (2**20).to_bytes(4, "little")
    assert content.count(real) == 2  # before the file and in the list at the end
    bad.write_bytes(content.replace(real, (16).to_bytes(4, "little")))
    with pytest.raises(InputError, match=r"bad\.zip: cannot be unpacked"):
        unpack(bad, tmp_path / "out")
    assert is_untouched(tmp_path)


def test_a_sparse_file_is_refused(place, tmp_path):
    sparse = {"GNU.sparse.map": "0,1", "GNU.sparse.size": "1"}
    with tarfile.open(place / "bad.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("holes")
        entry.size, entry.pax_headers = 1, sparse
        archive.addfile(entry, io.BytesIO(b"x"))
    with pytest.raises(InputError, match="'holes' is a sparse file"):
        unpack(place / "bad.tar", tmp_path / "out")
    assert is_untouched(tmp_path)


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_rights_are_not_taken_over(place, tmp_path, suffix):
    if suffix == ".zip":
        entry = zipfile.ZipInfo("tool")
        entry.external_attr = 0o104777 << 16
        bad = pack(place / "tools.zip", {}, [(entry, b"")])
    else:
        entry = tarfile.TarInfo("tool")
        entry.mode, entry.mtime = 0o4777, 0
        bad = pack(place / "tools.tar", {}, [entry])
    unpack(bad, tmp_path / "out")
    (tmp_path / "plain").write_bytes(b"")
    tool, plain = ((tmp_path / name).stat() for name in ("out/tool", "plain"))
    assert tool.st_mode == plain.st_mode
    assert plain.st_mtime - tool.st_mtime < 60


def test_a_name_that_comes_twice_is_refused(place, tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = pack(place / "twice.zip", special=[("notes.txt", b"again")])
    with pytest.raises(InputError, match="1 files have the name of another"):
        unpack(twice, tmp_path / "out")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz"])
@pytest.mark.parametrize("seed", range(15))
def test_a_damaged_archive_is_named_and_nothing_is_left(place, tmp_path, name, seed):
    """Cut off, or some bytes changed: it is refused, or what it holds still stays inside."""
    rng = random.Random(seed)
    content = bytearray(pack(place / name).read_bytes())
    if seed % 3 == 0:
        content = content[: rng.randrange(len(content))]
    for _ in range(rng.randint(1, 20)):
        if content:
            content[rng.randrange(len(content))] = rng.randrange(256)
    (place / name).write_bytes(content)
    try:
        unpack(place / name, tmp_path / "out")
    except InputError as error:
        said = str(error)
    else:
        assert {path.name for path in tmp_path.iterdir()} == {"archive", "out"}
        return
    assert name in said
    assert is_untouched(tmp_path)
