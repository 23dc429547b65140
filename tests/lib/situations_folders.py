"""Folders as people leave them: formats, suffixes, leftovers, damage."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from compendium.clinic.audit import Folder
from lib.data.folders import list_domains
from lib.data.reading import SUFFIXES
from tests.lib.situations import TRIED, colour, eight, images, near, reasons, save, situation

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)  # the head; nobody here decodes one


@situation(
    "JPEG, HEIC, JFIF, WebP of phones in one folder",
    TRIED,
    "what can be read is; HEIC is counted and named",
)
def phone_formats(folder: Path) -> None:
    picture = Image.fromarray(colour())
    for name, kind in (
        ("a.JPG", "JPEG"),
        ("b.jfif", "JPEG"),
        ("c.jpe", "JPEG"),
        ("d.webp", "WEBP"),
    ):
        picture.save(folder / name, kind)
    for name in ("e.HEIC", "f.heif"):
        (folder / name).write_bytes(HEIC)
    assert set(images(folder)) == {"a.JPG", "b.jfif", "c.jpe", "d.webp"}
    assert {"e.HEIC", "f.heif"} <= set(reasons(Folder(folder).excluded))


@situation(
    "files of microscopes beside the images (.czi, .nd2, .lif, .svs) and .gif, .jxl",
    TRIED,
    "counted and named",
)
def other_formats(folder: Path) -> None:
    save(folder / "a.png", eight())
    others = ["b.czi", "c.nd2", "d.lif", "e.svs", "f.gif", "g.jxl"]
    for name in others:
        (folder / name).write_bytes(b"any")
    assert set(images(folder)) == {"a.png"}
    assert set(others) <= set(reasons(Folder(folder).excluded))


@situation("HEIC called .jpg", "photopea/photopea#5055", "excluded, and HEIC is said")
def heic_called_jpg(folder: Path) -> None:
    save(folder / "a.png", eight())
    (folder / "b.jpg").write_bytes(HEIC)
    assert "heic" in reasons(Folder(folder).excluded)["b.jpg"].lower()


@situation("JPEG called .HEIC", "instructure/canvas-lms#1206", "named")
def jpg_called_heic(folder: Path) -> None:
    save(folder / "a.png", eight())
    Image.fromarray(eight()).save(folder / "b.HEIC", "JPEG")
    seen = Folder(folder)
    assert "b.HEIC" in {*seen.table()["id"], *reasons(seen.excluded)}


@situation("PNG called .jpg and .tif", "mate-desktop/eom#61", "read as what it is")
def png_called_otherwise(folder: Path) -> None:
    for name in ("a.jpg", "b.tif"):
        Image.fromarray(eight()).save(folder / name, "PNG")
    for seen in images(folder).values():
        near(seen, eight())


@situation("suffixes in capitals", "GimelStudio/GimelStudio#133", "read")
def capitals(folder: Path) -> None:
    for suffix in (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"):
        assert suffix in SUFFIXES
        save(folder / f"a{suffix.upper()}", eight())
    assert len(images(folder)) == 7


@situation("leftovers of a Mac: ._a.jpg, .AppleDouble", "gco/xee#217", "no images")
def leftovers(folder: Path) -> None:
    save(folder / "a.jpg", eight())
    (folder / ".AppleDouble").mkdir()
    for name in ("._a.jpg", ".AppleDouble/a.jpg"):
        (folder / name).write_bytes(b"\0\x05\x16\x07" + bytes(60))
    assert set(images(folder)) == {"a.jpg"}
    assert "._a.jpg" in reasons(Folder(folder).excluded)


@situation("Thumbs.db and .DS_Store", "pytorch/vision#109", "no images, and no word of them")
def system_files(folder: Path) -> None:
    save(folder / "a.png", eight())
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini"):
        (folder / name).write_bytes(b"any")
    seen = Folder(folder)
    assert seen.table()["id"].tolist() == ["a.png"]
    assert seen.excluded.empty


@situation(
    "JPEG cut off by a copy", "python-pillow/Pillow#2038", "excluded, never filled with grey"
)
def cut_off(folder: Path) -> None:
    save(folder / "a.png", eight())
    stream = io.BytesIO()
    Image.fromarray(colour()).save(stream, "JPEG")
    (folder / "b.jpg").write_bytes(stream.getvalue()[:-200])
    assert set(images(folder)) == {"a.png"}
    assert "b.jpg" in reasons(Folder(folder).excluded)


@situation("frames of a failed lamp or camera, all of one grey", TRIED, "excluded and named")
def blank(folder: Path) -> None:
    save(folder / "a.png", eight())
    for level in (0, 1, 255):
        save(folder / f"blank_{level}.png", np.full_like(eight(), level))
    assert set(images(folder)) == {"a.png"}
    assert {"blank_0.png", "blank_1.png", "blank_255.png"} == set(reasons(Folder(folder).excluded))


@situation("one fluorescence exported in blue or red only", "maxpmx/CelloType#10", "no blank frame")
def one_colour(folder: Path) -> None:
    nothing = np.zeros_like(eight())
    right = {}
    for place, name in ((0, "red.png"), (2, "blue.png")):
        planes = [nothing, nothing, nothing]
        planes[place] = eight()
        right[name] = np.dstack(planes)
        save(folder / name, right[name])
    seen = images(folder)
    assert set(seen) == set(right)
    for name, pixels in seen.items():
        near(pixels, right[name])


@situation("a few bright objects on a dark ground", TRIED, "no blank frame; hot pixels are")
def dark_field(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name, side in (("hot.png", 1), ("dark_field.png", 8)):
        ground = np.clip(rng.normal(4, 1.5, (1000, 1000)), 0, 255).astype(np.uint8)
        for y, x in rng.integers(0, 990, (8, 2)):
            ground[y : y + side, x : x + side] = 220
        save(folder / name, ground)
    assert set(images(folder)) == {"dark_field.png"}
    assert "blank" in reasons(Folder(folder).excluded)["hot.png"]


@situation("links to folders and to what is not there", TRIED, "not followed, and each is named")
def links(folder: Path) -> None:
    inside, outside = folder / "in", folder / "out"
    save(inside / "a.png", eight())
    save(outside / "b.png", eight())
    for name, target in (("linked", outside), ("gone.png", folder / "x.png"), ("away", "nowhere")):
        (inside / name).symlink_to(target)
    (inside / "b.png").symlink_to(outside / "b.png")
    assert set(images(inside)) == {"a.png"}
    said = reasons(Folder(inside).excluded)
    assert set(said) == {"linked", "gone.png", "away", "b.png"}
    assert not any(str(folder) in reason for reason in said.values())


@situation(
    "images beside the grade folders of a published set, folders and links in them",
    TRIED,
    "excluded and named",
)
def beside_grades(folder: Path) -> None:
    for domain in ("ed4", "ed1"):
        for grade in "15":
            save(folder / domain / "alldata" / grade / "a.png", eight())
    save(folder / "ed4" / "alldata" / "b.png", eight())
    save(folder / "ed4" / "c.png", eight())
    (folder / "ed4" / "alldata" / "1" / "more").mkdir()
    (folder / "ed4" / "alldata" / "1" / "d.png").symlink_to("nowhere.png")
    entries, excluded = list_domains(folder, ["ED4", "ED1"], "folder1")
    assert len(entries) == 4
    names = {"alldata/b.png", "c.png", "alldata/1/more", "alldata/1/d.png"}
    assert set(reasons(excluded)) == {f"ed4/{name}" for name in names}
