"""Fields of cells in files: lists, COCO, videos; image and mask in register, nothing silent."""

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from engine.errors import InputError
from lib.data.coco_masks import object_pixels
from lib.data.field_coco import CocoFields
from lib.data.field_cuts import Cut, cut_image, cut_map, cuts_of
from lib.data.field_tables import TableFields
from lib.data.field_videos import VideoFrames
from lib.data.fields import COLUMNS
from lib.data.label_maps import read_components, read_label_map


def _disc(height, width, y, x, radius, fine=8):
    """Share of every pixel that a disc covers."""
    rows, columns = ((np.arange(length * fine) + 0.5) / fine for length in (height, width))
    inside = (rows[:, None] - y) ** 2 + (columns - x) ** 2 <= radius**2
    return inside.reshape(height, fine, width, fine).mean((1, 3))


def _centroid(weights):
    rows, columns = (np.arange(length) + 0.5 for length in weights.shape)
    total = weights.sum()
    return np.array([rows @ weights.sum(1), columns @ weights.sum(0)]) / total


def _cells(height=40, width=48):
    """Textured image with two cells and their map, numbered 3 and 7."""
    rng = np.random.default_rng([height, width])
    image = rng.integers(90, 130, (height, width)).astype(np.uint8)
    labels = np.zeros((height, width), np.uint8)
    for number, (y, x) in {3: (12, 14), 7: (25, 30)}.items():
        labels[_disc(height, width, y, x, 6, 1) > 0.5] = number
    image[labels > 0] += 100
    return image, labels


def _save(path, array, **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".tif", ".tiff"):
        tifffile.imwrite(path, array, **kwargs)
    else:
        Image.fromarray(array).save(path)


# --- cuts: image and mask in register -------------------------------------------------------


@pytest.mark.parametrize(
    ("height", "width", "side", "size"),
    [
        (512, 512, 512, 256),  # where the nearest pixel alone is 0.25 px off
        (256, 256, 256, 64),
        (300, 300, 300, 256),
        (130, 130, 130, 100),
        (120, 107, 107, 64),
        (100, 100, 100, 256),
        (90, 100, 128, 64),  # a window beyond the image
        (300, 300, 120, 64),  # and one well inside
    ],
)
def test_image_and_mask_of_a_disc_stay_in_register(height, width, side, size):
    rng = np.random.default_rng(0)
    cut, scale = cuts_of(height, width, side, False)[0], size / side
    shifts, places, areas = [], [], []
    for _ in range(12):
        y, x = (length / 2 + rng.uniform(-0.08, 0.08) * side for length in (height, width))
        radius = rng.uniform(0.15, 0.25) * side
        disc = (_disc(height, width, y, x, radius, 4) >= 0.5).astype(np.int32)
        image = cut_image((255 * disc).astype(np.uint8), cut, size)
        mask = cut_map(disc, cut, size)
        assert (image.shape, image.dtype, mask.dtype) == ((size, size), np.uint8, np.int32)
        shifts.append(_centroid(mask) - _centroid(image.astype(float)))
        places.append(_centroid(mask) - np.array([y - cut.top, x - cut.left]) * scale)
        areas.append(mask.sum() / (disc.sum() * scale**2))
    # px of the field; of single discs more, which are drawn in pixels
    assert np.abs(np.mean(shifts, 0)).max() < 0.05
    assert np.abs(np.mean(places, 0)).max() < 0.1
    assert np.abs(shifts).max() < 0.15
    assert np.mean(areas) == pytest.approx(1, abs=0.003)


def test_resized_maps_agree_with_a_plain_count():
    rng = np.random.default_rng(1)
    labels = np.kron(rng.integers(0, 4, (12, 12)), np.ones((3, 3))).astype(np.int32)
    shrunk = cut_map(labels, Cut(0, 0, 36), 18)
    blocks = labels.reshape(18, 2, 18, 2).swapaxes(1, 2).reshape(18, 18, 4)
    counts = np.stack([(blocks == number).sum(-1) for number in (1, 2, 3)], -1)
    covered, black = counts.sum(-1), np.indices((18, 18)).sum(0) % 2 == 0
    assert np.array_equal(shrunk > 0, (covered > 2) | ((covered == 2) & black))
    kept = np.take_along_axis(counts, np.maximum(shrunk - 1, 0)[..., None], -1)[..., 0]
    assert (kept == counts.max(-1))[shrunk > 0].all()
    grown = cut_map(labels, Cut(0, 0, 36), 72)
    assert np.array_equal(grown, np.kron(labels, np.ones((2, 2), int)))


def test_window_beyond_the_image_goes_on_as_its_edge_and_has_no_cells():
    image = np.arange(80, dtype=np.uint8).reshape(8, 10)
    labels = np.ones((8, 10), np.int32)
    cut = cuts_of(8, 10, 12, False)[0]
    assert (cut.top, cut.left) == (-2, -1)
    assert np.array_equal(cut_image(image, cut, 12), np.pad(image, ((2, 2), (1, 1)), "edge"))
    assert np.array_equal(cut_map(labels, cut, 12), np.pad(labels, ((2, 2), (1, 1))))


def test_published_frames_are_twelve_tiles():
    tiles = cuts_of(1544, 2064, 512, True)
    assert [tile.name for tile in tiles] == [
        f"#{row},{col}" for row in range(3) for col in range(4)
    ]
    assert (tiles[-1].top, tiles[-1].left) == (1024, 1536)
    assert cuts_of(500, 2064, 512, True) == []
    assert cuts_of(300, 200, 0, False) == [Cut(50, 0, 200)]


def test_specks_of_cut_objects_are_left_out_and_the_rest_numbered_anew():
    labels = np.zeros((20, 20), np.int32)
    labels[0:3, 0:1] = 1  # 3 px are left of it
    labels[5:9, 5:9] = 9
    labels[12:14, 0:2] = 4  # 4 px
    found = cut_map(labels, Cut(0, 0, 16), 16)
    assert np.unique(found).tolist() == [0, 1, 2]
    assert np.array_equal(found == 1, labels[:16, :16] == 4)


# --- mask files -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["8.png", "16.png", "palette.png", "rgb.png", "8.tif", "16.tif",
                                  "float.tif", "grey.bmp"])  # fmt: skip
def test_label_images_of_every_kind_hold_the_same_objects(tmp_path, kind):
    _, labels = _cells()
    path = tmp_path / f"mask_{kind}"
    deep = labels.astype(np.uint16) * 100
    if kind == "palette.png":
        picture = Image.fromarray(labels, "P")
        # Two objects of one colour: the numbers count.
        picture.putpalette([0, 0, 0] + [200, 0, 0] * 255)
        picture.save(path)
    elif kind == "rgb.png":
        _save(path, np.repeat(labels[..., None], 3, -1))
    else:
        kinds = {"16": deep, "float": deep.astype(np.float32)}
        _save(path, kinds.get(kind.split(".")[0], labels))
    found = read_label_map(path)
    assert found.dtype == np.int32
    assert np.array_equal(found, np.select([labels == 3, labels == 7], [1, 2]))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path, labels: _save(path, np.where(labels, 255, 0).astype(np.uint8)),
         r"white \(255\) and not every number below it shows classes and no objects\. Set"),
        (lambda path, labels: _save(path, np.select([labels == 3, labels == 7], [128, 255])
                                    .astype(np.uint8)), "shows classes"),
        (lambda path, labels: _save(path, labels > 0), "shows classes"),
        (lambda path, labels: _save(path, np.stack([labels, labels * 0, labels], -1)),
         "a mask in colours"),
        (lambda path, labels: path.write_bytes(b"no image"), "not a PNG"),
        (lambda path, labels: path.write_bytes(b""), "zero bytes"),
    ],
)  # fmt: skip
def test_masks_without_instances_are_refused(tmp_path, write, message):
    path = tmp_path / "mask.png"
    write(path, _cells()[1])
    with pytest.raises(InputError, match=message) as refused:
        read_label_map(path)
    assert "mask.png" in str(refused.value)


def test_tiff_masks_that_number_no_objects_are_refused(tmp_path):
    _, labels = _cells()
    path = tmp_path / "mask.tif"
    _save(path, labels / np.float32(2))
    with pytest.raises(InputError, match=r"mask\.tif: float32 numbers from 0 to 3.5"):
        read_label_map(path)
    _save(path, -labels.astype(np.int16))
    with pytest.raises(InputError, match="from -7 to 0"):
        read_label_map(path)
    _save(path, np.stack([labels] * 3), photometric="minisblack")
    with pytest.raises(InputError, match=r"3 pages\. Save the one"):
        read_label_map(path)


def test_classes_become_areas_above_the_threshold(tmp_path):
    grey = np.zeros((20, 20), np.uint8)
    grey[2:8, 2:8] = 128  # a cell
    grey[4:6, 4:6] = 255  # and its nucleus
    grey[8:12, 8:12] = 191  # touches at a corner
    grey[15, 15:18] = 255  # a speck of 3 px
    _save(tmp_path / "mask.png", grey)
    assert read_components(tmp_path / "mask.png", 127).max() == 1
    nucleus = read_components(tmp_path / "mask.png", 191)  # strictly above
    assert np.argwhere(nucleus).tolist() == [[4, 4], [4, 5], [5, 4], [5, 5]]


# --- lists ----------------------------------------------------------------------------------

NAMES = ["a.png", "b.tif", "c.bmp", "d.png"]


@pytest.fixture
def listed(tmp_path):
    """Two domains of four images each, 8 bits and 16; the last of either is not drawn."""
    image, labels = _cells()
    rows = []
    for domain in ("flat", "gel"):
        for place, name in enumerate(NAMES):
            file, mask = f"{domain}/{name}", f"masks/{domain}_{name[0]}.png"
            shown = image.astype(np.uint16) * 16 if name == "b.tif" else image
            shown = np.stack([shown, shown, shown], -1) if name == "c.bmp" else shown
            _save(tmp_path / file, shown)
            if name != "d.png":
                _save(tmp_path / mask, labels)
            rows.append((file, domain, "line A", f"dish {place // 2}" if domain == "gel" else "",
                         "" if name == "d.png" else mask))  # fmt: skip
    rows.append(("other/x.png", "elsewhere", "line B", "", ""))
    columns = ["file", "domain", "cell", "group", "instances"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


def _open(folder, size=32, windows=None, **values):
    values = dict(mask_column="instances", mask_threshold=0, channel=0, drawn_by="expert") | values
    windows = windows or dict(flat=0, gel=32)
    return TableFields(folder, ["flat", "gel"], windows=windows, size=size, **values)


def _change(folder, change):
    path = folder / "labels.csv"
    change(pd.read_csv(path, dtype=str, keep_default_na=False)).to_csv(path, index=False)


@pytest.mark.filterwarnings("ignore:.*several depths")
def test_table_of_listed_fields(listed):
    source = _open(listed)
    table = source.table()
    assert list(table.columns) == COLUMNS
    assert table["id"].tolist() == [f"{d}/{name}" for d in ("flat", "gel") for name in NAMES]
    assert table["group"].tolist() == table["id"].tolist()[:4] + ["dish 0"] * 2 + ["dish 1"] * 2
    assert set(table["label"]) == {"line A"}
    assert table["drawn_by"].tolist() == ["expert", "expert", "expert", ""] * 2
    assert table["bits"].tolist() == [8, 12, 8, 8] * 2
    assert table["width"].tolist() == [40] * 4 + [32] * 4  # of the square in px of the file
    assert source.excluded["reason"].tolist() == ["domain 'elsewhere' is none of flat, gel"]
    # Whatever the file: one image, one map.
    ids = table["id"].tolist()
    first, second, third, _ = source.read_many(ids[4:])
    assert first.shape == (32, 32)
    assert np.array_equal(first, third)
    assert np.abs(first.astype(int) - second).max() <= 1
    image, labels = _cells()
    assert np.array_equal(first, image[4:36, 8:40])
    (found,) = source.instances(["gel/b.tif"])
    assert np.array_equal(found > 0, labels[4:36, 8:40] > 0)
    assert np.unique(found).tolist() == [0, 1, 2]
    with pytest.raises(InputError, match=r"d\.png: nobody has drawn .* add a mask"):
        source.instances(ids)
    with pytest.raises(InputError, match=r"no field 'gel/z\.png'\. Choose"):
        source.read_many(["gel/z.png"])


@pytest.mark.filterwarnings("ignore:.*several depths")
def test_tiles_of_listed_fields(listed):
    source = _open(listed, size=16, windows=dict(flat=20, gel=16), tiled=True)
    table = source.table().set_index("id")
    assert table.groupby("domain").size().to_dict() == {"flat": 4 * 4, "gel": 4 * 6}
    assert table.loc["flat/a.png#1,0", "group"] == "flat/a.png"
    assert table.loc["gel/a.png#1,2", "group"] == "dish 0"
    assert table.loc["gel/a.png#1,2", ["width", "height"]].tolist() == [16, 16]
    assert table.loc["gel/a.png#0,0", "sha256"] != table.loc["gel/a.png#0,1", "sha256"]
    image, labels = _cells()
    (tile,), (found,) = (read(["gel/a.png#1,2"]) for read in (source.read_many, source.instances))
    assert np.array_equal(tile, image[16:32, 32:48])
    assert np.array_equal(found, labels[16:32, 32:48] == 7)
    with (
        pytest.raises(
            InputError, match=r"domain 'gel'.*a\.png: 48 x 40 px, less than a tile\. Set"
        ),
        pytest.warns(UserWarning, match="cannot be used"),
    ):
        _open(listed, windows=dict(flat=20, gel=41), tiled=True).table()


@pytest.mark.filterwarnings("ignore:.*several depths")
def test_what_cannot_be_used_is_counted_with_its_reason(listed):
    (listed / "flat/a.png").write_bytes(b"torn")
    (listed / "masks/flat_b.png").unlink()
    _save(listed / "masks/flat_c.png", np.ones((40, 47), np.uint8))
    rng = np.random.default_rng(0)
    _save(listed / "gel/a.png", rng.integers(0, 256, (7, 30), dtype=np.uint8))
    _save(listed / "gel/c.bmp", np.full((40, 48), 90, np.uint8))
    _change(listed, lambda rows: rows.replace("masks/gel_b.png", "../../secret.png"))
    source = _open(listed)
    with pytest.warns(UserWarning, match="6 of 8 images"):
        table = source.table()
    assert table["id"].tolist() == ["flat/d.png", "gel/d.png"]
    reasons = source.excluded.set_index("id")["reason"].to_dict()
    expected = {
        "flat/a.png": "not a PNG",
        "flat/b.tif": "flat_b.png: no such file",
        "flat/c.bmp": "but its mask has 47 x 40. Save the mask",
        "gel/a.png": "30 x 7 px, cells need 8",
        "gel/b.tif": "leads outside",
        "gel/c.bmp": "a blank frame",
        "other/x.png": "none of flat, gel",
    }
    assert reasons.keys() == expected.keys()
    for id, words in expected.items():
        assert words in reasons[id]


def test_lists_that_cannot_be_used_are_named(listed):
    with pytest.raises(InputError, match="column 'mask' is missing; there are file, domain, cell"):
        _open(listed, mask_column="mask")
    with pytest.raises(InputError, match=r"domain 'gel' has no window\. Set one"):
        _open(listed, windows=dict(flat=0))
    with pytest.raises(InputError, match=r"a window of 7 px for domain 'gel'\. Set 8"):
        _open(listed, windows=dict(flat=0, gel=7))
    _change(listed, lambda rows: rows.replace("gel", "Gel "))
    with pytest.raises(InputError, match=r"domain 'Gel' .* beside 'gel'"):
        _open(listed)
    _change(listed, lambda rows: rows[rows["domain"] == "flat"])
    with (
        pytest.raises(InputError, match=r"no usable image of domain 'gel'\. Add images"),
        pytest.warns(UserWarning, match="several depths"),
    ):
        _open(listed).table()


def test_fingerprint_is_of_what_the_data_are(listed):
    known = [_open(listed).fingerprint()]
    assert _open(listed).fingerprint() == known[0]

    def differs(**values):
        found = _open(listed, **values).fingerprint()
        assert found not in known
        known.append(found)

    differs(windows=dict(flat=0, gel=30))
    differs(size=33)
    differs(mask_threshold=1)
    differs(tiled=True)
    differs(drawn_by="model")
    for file in ("masks/flat_a.png", "gel/a.png"):
        pixels = np.array(Image.open(listed / file))
        pixels[0, 0] += 1
        _save(listed / file, pixels)
        differs()
    (listed / "masks/flat_b.png").unlink()
    differs()
    _change(listed, lambda rows: rows.replace("dish 1", "dish 2"))
    differs()


# --- COCO -----------------------------------------------------------------------------------


def _mask(annotation, height, width):
    mask = np.zeros(height * width, int)
    mask[object_pixels(annotation, (height, width), "it")] = 1
    return mask.reshape(height, width)


@pytest.mark.parametrize("start", [0.0, 0.5])
def test_polygons_cover_the_pixels_whose_centres_they_hold(start):
    low, high = 2 + start, 8 + start
    square = [low, 3, high, 3, high, 9, low, 9]
    found = _mask(dict(segmentation=[square]), 20, 20)
    assert found.sum() == 36  # px²; pycocotools counts 36 too, skimage and Pillow up to 49
    assert np.argwhere(found).min(0).tolist() == [3, 2 + round(start)]
    assert np.argwhere(found).max(0).tolist() == [8, 7 + round(start)]


def test_polygon_of_a_circle_lies_where_it_was_drawn():
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    corners = np.stack([30.3 + 20 * np.cos(turn), 31.2 + 20 * np.sin(turn)], 1)
    found = _mask(dict(segmentation=[corners.ravel().tolist()]), 64, 64)
    assert found.sum() == pytest.approx(20**2 / 2 * 60 * np.sin(2 * np.pi / 60), rel=0.01)
    assert np.abs(_centroid(found) - [31.2, 30.3]).max() < 0.1
    beyond = _mask(dict(segmentation=[[-5, -5, 3, -5, 3, 2, -5, 2]]), 10, 10)
    assert np.argwhere(beyond).max(0).tolist() == [1, 2]
    two = dict(segmentation=[[0, 0, 4, 0, 4, 4, 0, 4], [2, 0, 6, 0, 6, 4, 2, 4]])
    assert _mask(two, 10, 10).sum() == 24  # shared pixels once


def test_run_lengths_as_numbers_and_as_text():
    """Texts by pycocotools 2.0.11, ``mask.encode``."""
    random = np.random.default_rng(0).random((7, 10)) > 0.6
    ring = np.zeros((300, 200), bool)
    ring[40:260, 30:150] = True
    ring[100:120, 60:90] = False
    edge = "`j8l6`2" + "0" * 58
    hole = "PKTN`2l1`M" + "TN`2l1`M" * 28 + "TN`2l1`2"
    texts = [(random, "021O0081IO11011NO0N33MM41M1ON0001"), (ring, f"{edge}{hole}{'0' * 118}`c>")]
    for mask, text in texts:
        height, width = mask.shape
        for counts in (text, _plain_runs(mask)):
            drawn = dict(segmentation=dict(size=[height, width], counts=counts))
            assert np.array_equal(_mask(drawn, height, width), mask)


def _plain_runs(mask):
    runs, last = [0], False
    for value in mask.T.ravel():
        runs.append(1) if value != last else runs.__setitem__(-1, runs[-1] + 1)
        last = value
    return runs


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (dict(segmentation=[[1, 1, 5, 5]]), "polygon of 2 corners"),
        (dict(segmentation=[[1, 1, 5, 5, 3]]), "no pairs of x and y"),
        (dict(segmentation=[]), r"no segmentation, but '\[\]'. Correct"),
        (dict(segmentation=dict(size=[4, 5], counts=[9, 8])), r"17 px .* not of the 20 px"),
        (dict(segmentation=dict(size=[5, 4], counts=[20])), r"in an image of \(5, 4\)"),
        (dict(segmentation=dict(size=[4, 5], counts="1")), r"1 px in an image"),
        (dict(segmentation=[[0, 0, 9, 0, 9, 9]], iscrowd=1), "a crowd .* Draw them one by one"),
    ],
)
def test_annotations_that_cannot_be_drawn_are_named(annotation, message):
    with pytest.raises(InputError, match=f"it: .*{message}"):
        object_pixels(annotation, (4, 5), "it")


def _box(x, y, side):
    return [[x, y, x + side, y, x + side, y + side, x, y + side]]


LIVECELL = {
    "BV2_Phase_C4_1_00d00h00m_2.tif": [_box(4, 4, 12), _box(8, 8, 4), _box(30, 20, 6)],
    "BV2_Phase_C4_2_01d00h00m_1.tif": [_box(8, 8, 4), _box(4, 4, 12)],
    "SkBr3_Phase_E3_1_00d00h00m_1.tif": [],
    "A172_Phase_A7_1_00d00h00m_1.tif": [_box(4, 4, 12)],
    "Huh7.tif": [_box(4, 4, 12)],
    "Huh7_Phase_A11_1_00d00h00m_1.tif": [_box(4, 4, 12)],
}


@pytest.fixture
def livecell(tmp_path):
    image, _ = _cells()
    images, annotations = [], []
    for place, (name, boxes) in enumerate(LIVECELL.items()):
        if not name.startswith("Huh7_"):
            _save(tmp_path / "images/train" / name.split("_")[0] / name, image)
        images.append(dict(id=place, file_name=name, height=40, width=48))
        for box in boxes:
            annotations.append(
                dict(id=len(annotations) + 1, image_id=place, category_id=1, iscrowd=0,
                     segmentation=box)
            )  # fmt: skip
    _write(tmp_path, images, annotations)
    return tmp_path


def _write(folder, images, annotations):
    (folder / "train.json").write_text(json.dumps(dict(images=images, annotations=annotations)))


def _coco(folder, names=("train.json",), **values):
    values = dict(window=40, size=40) | values
    return CocoFields(folder, names, "phase", ["bv2", "SkBr3", "Huh7"], drawn_by="expert", **values)


def test_livecell_lines_wells_and_cells(livecell):
    source = _coco(livecell)
    table = source.table()
    assert table["label"].tolist() == ["bv2", "bv2", "SkBr3"]
    assert table["group"].tolist() == ["bv2_C4", "bv2_C4", "SkBr3_E3"]
    assert set(table["drawn_by"]) == {"expert"}
    reasons = source.excluded.set_index("id")["reason"]
    assert (
        "cell line 'A172' is none of bv2, SkBr3, Huh7" in reasons["A172_Phase_A7_1_00d00h00m_1.tif"]
    )
    assert "no well in the name" in reasons["Huh7.tif"]
    assert "0 images of the name" in reasons["Huh7_Phase_A11_1_00d00h00m_1.tif"]
    first, second, empty = source.instances(table["id"])
    # The smaller one stays visible, whichever came first: columns 4 to 43 are shown.
    assert np.bincount(first.ravel())[1:].tolist() == [144 - 16 - 0, 16, 36]
    assert np.array_equal(first[4:16, :12] > 0, second[4:16, :12] > 0)
    assert np.bincount(second.ravel())[1:].tolist() == [16, 144 - 16]
    assert not empty.any()


def test_livecell_annotations_by_their_id_are_the_same(livecell):
    content = json.loads((livecell / "train.json").read_text())
    listed = _coco(livecell)
    before, mark = listed.instances(listed.table()["id"]), listed.fingerprint()
    by_id = {str(one["id"]): one for one in content["annotations"]}
    _write(livecell, content["images"], by_id)
    again = _coco(livecell)
    assert np.array_equal(again.instances(again.table()["id"]), before)
    by_id["1"]["segmentation"][0][0] += 1
    _write(livecell, content["images"], by_id)
    assert _coco(livecell).fingerprint() != mark


def test_objects_without_a_pixel_of_their_own_are_counted(livecell):
    content = json.loads((livecell / "train.json").read_text())
    twice = content["annotations"][0] | dict(id=90)
    between = content["annotations"][0] | dict(
        id=91, segmentation=[[20.6, 20.6, 20.9, 20.6, 20.9, 21.4]]
    )
    _write(livecell, content["images"], [*content["annotations"], twice, between])
    source = _coco(livecell)
    with pytest.warns(UserWarning, match=r"2 of 7 objects in 1 images .* keep no pixel"):
        first = source.table()["id"].iloc[0]
    assert source.instances([first])[0].max() == 3


def test_coco_files_that_cannot_be_used_are_named(livecell):
    content = json.loads((livecell / "train.json").read_text())
    with pytest.raises(InputError, match=r"val\.json: no such file. Copy"):
        _coco(livecell, ["val.json"])
    (livecell / "val.json").write_text((livecell / "train.json").read_text())
    with pytest.raises(InputError, match=r"val\.json: image 'BV2_.*' is named twice. Remove"):
        _coco(livecell, ["train.json", "val.json"])
    for broken in ("{", "[]", json.dumps(dict(images=content["images"]))):
        (livecell / "val.json").write_text(broken)
        with pytest.raises(InputError, match=r"val\.json: not a file of COCO"):
            _coco(livecell, ["val.json"])
    content["annotations"][0]["category_id"] = 2
    _write(livecell, **content)
    with pytest.raises(InputError, match=r"annotations of 2 categories, 1, 2\. Leave"):
        _coco(livecell)
    content["annotations"][0].update(category_id=1, iscrowd=1)
    _write(livecell, **content)
    source = _coco(livecell)
    with pytest.warns(UserWarning, match="1 of 3 images"):
        source.table()
    assert source.excluded["reason"].str.contains(r"C4_1_.*tif: annotation 1: a crowd").sum() == 1


# --- videos ---------------------------------------------------------------------------------


@pytest.fixture
def videos(tmp_path):
    image, labels = _cells(64, 96)
    for video, count in (("video_01", 12), ("video_02", 3)):
        for number in range(1, count + 1):
            _save(tmp_path / video / f"frame_{number}.png", image)
    for number in (4, 6):
        _save(tmp_path / "masks/video_01" / f"frame_{number}.tif", labels.astype(np.uint16))
    _save(tmp_path / "masks/video_02/frame_9.png", labels)
    (tmp_path / "video_01/frame_13.gif").write_bytes(b"GIF8")
    _save(tmp_path / "cover.png", image)
    return tmp_path


def _videos(folder, every=5, **values):
    values = dict(window=32, size=16, tiled=True) | values
    return VideoFrames(folder, "gel", every, 0, 0, drawn_by="expert", **values)


def test_every_fifth_frame_of_a_video_and_those_with_a_mask(videos):
    source = _videos(videos)
    table = source.table()
    frames = table["id"].str.split("#").str[0]
    assert frames.unique().tolist() == [
        *(f"video_01/frame_{number}.png" for number in (1, 4, 6, 11)),
        "video_02/frame_1.png",
    ]
    assert set(frames.value_counts()) == {2 * 3}
    assert table["group"].tolist() == ["video_01"] * 24 + ["video_02"] * 6
    drawn = table["drawn_by"] == "expert"
    assert frames[drawn].unique().tolist() == [f"video_01/frame_{n}.png" for n in (4, 6)]
    reasons = source.excluded.set_index("id")["reason"]
    assert sorted(reasons.index) == [
        "cover.png",
        "masks/video_02/frame_9.png",
        "video_01/frame_13.gif",
    ]
    assert "a mask without a frame" in reasons["masks/video_02/frame_9.png"]
    assert "not in a folder of a video" in reasons["cover.png"]
    maps = source.instances(table.loc[drawn, "id"])
    assert sum(found.max() for found in maps[:6]) >= 2
    assert len(_videos(videos, every=1).table()) == 15 * 6


def test_videos_that_cannot_be_used_are_named(videos):
    with pytest.raises(InputError, match=r"every 0\. Set 1"):
        _videos(videos, every=0)
    mark = _videos(videos).fingerprint()
    _save(videos / "masks/video_01/frame_4.tif", np.ones((64, 96), np.uint16))
    assert _videos(videos).fingerprint() != mark
    _save(videos / "masks/video_01/frame_4.png", np.ones((64, 96), np.uint8))
    with pytest.raises(
        InputError, match=r"frame_4\.png' and .*frame_4\.tif' are one frame. Remove"
    ):
        _videos(videos)
    with pytest.raises(InputError, match="no usable image of domain 'gel'"):
        _videos(videos / "video_02").table()


# --- real images ----------------------------------------------------------------------------


def _whole(folder, domain, side, column="instances", **values):
    values = dict(mask_threshold=0, channel=0, drawn_by="expert", size=side) | values
    return TableFields(folder, [domain], column, windows={domain: side}, **values)


@pytest.mark.parametrize(
    ("folder", "domain", "side", "bits"),
    [
        ("labelfree_phase_t98g", "phase_contrast", 1024, {8}),
        ("labelfree_bacteria_phase", "phase_contrast_bacteria", 908, {8, 16}),
    ],
)
@pytest.mark.filterwarnings("ignore:.*several depths")
def test_real_fields_have_the_cells_of_their_list(shared_data, folder, domain, side, bits):
    listed = pd.read_csv(shared_data / folder / "labels.csv").set_index("file")
    source = _whole(shared_data / folder, domain, side)
    table = source.table()
    assert source.excluded.empty
    assert table["id"].tolist() == listed.index.tolist()
    assert set(table["bits"]) == bits
    assert (table["label"] == listed.get("cell", listed.get("label")).to_numpy()).all()
    maps = source.instances(table["id"])
    assert [found.max() for found in maps] == listed["n_cells"].tolist()
    covered = np.array([(found > 0).sum() for found in maps])
    shares = covered / (listed["width"] * listed["height"])
    assert np.allclose(shares, listed["foreground"], atol=1e-4)


def test_real_frames_as_tiles(shared_data):
    source = _whole(
        shared_data / "labelfree_phase_t98g", "phase_contrast", 256, size=128, tiled=True
    )
    table = source.table()
    assert len(table) == 10 * 3 * 4  # 1022 px are three tiles of 256
    assert table["group"].nunique() == 10
    assert table["sha256"].is_unique
    some = table["id"].iloc[:12]
    assert 30 < sum(found.max() for found in source.instances(some)) < 120  # of 66, some cut
    assert all(image.shape == (128, 128) for image in source.read_many(some))


def test_real_white_cells_by_class(shared_data):
    folder = shared_data / "wbc_two_stains"
    listed = pd.read_csv(folder / "labels.csv").set_index("file")
    domains = listed["domain"].unique()
    source = TableFields(
        folder, domains, "mask", 191, 0, dict.fromkeys(domains, 300), 300, "expert"
    )
    table = source.table()
    assert table.groupby("domain").size().to_dict() == listed.groupby("domain").size().to_dict()
    assert set(table["label"]) == set(listed["label"])
    ids = table["id"].iloc[::10]
    few = listed.loc[ids]
    covered = np.array([(found > 0).sum() for found in source.instances(ids)])
    shares = covered / (few["width"] * few["height"])
    assert np.abs(shares - few["nucleus_fraction"]).max() < 2e-4
    unset = _whole(folder, domains[0], 0, "mask", size=64)
    with (
        pytest.warns(UserWarning, match="Set mask_threshold"),
        pytest.raises(InputError, match=r"no usable image .* shows classes"),
    ):
        unset.table()


def test_real_organoids_have_no_instances(shared_data):
    source = _whole(
        shared_data / "labelfree_brightfield_3d", "brightfield_organoid", 0, "scribbles", size=64
    )
    table = source.table()
    assert table["drawn_by"].tolist() == ["", ""]
    assert all(np.ptp(image) > 50 for image in source.read_many(table["id"]))
    with pytest.raises(InputError, match=r"organoid_B06\.tif: nobody has drawn"):
        source.instances(table["id"])
