"""One scale of brightness for a device, and what of a folder is not used."""

import io

import numpy as np
import pandas as pd
import pytest
import tifffile

from engine.errors import InputError
from lib.data.depth import device_bits
from lib.data.inspection import central, inspect_files
from lib.data.sources import open_source
from lib.data.stored import UNIT
from lib.studies.embryo import EmbryoParameters

LIGHT = 0.2 + 0.8 * np.hypot(*np.mgrid[-1:1:32j, -1:1:32j]) / np.sqrt(2)


def facts(peaks, domain="phone", declared=np.nan, dtype="uint16", inverted=False):
    return pd.DataFrame(
        dict(domain=domain, declared=declared, peak=np.asarray(peaks, float), dtype=dtype,
             inverted=inverted)
    )  # fmt: skip


def bits_of(*tables):
    bits, odd = device_bits(pd.concat(tables, ignore_index=True))
    return bits.tolist(), sorted(odd)


@pytest.mark.parametrize(
    ("peaks", "bits"),
    [([200, 90], 8), ([200, 1000], 10), ([1020, 1030], 12), ([900, 9000], 14), ([300, 17000], 16)],
)
def test_undeclared_images_of_a_device_share_the_depth_that_holds_all(peaks, bits):
    assert bits_of(facts(peaks)) == ([bits, bits], [])


def test_devices_do_not_share_it():
    assert bits_of(facts([900]), facts([60000], "good")) == ([10, 16], [])


def test_what_some_declare_holds_for_all_of_the_device():
    assert bits_of(facts([900, 800], declared=[12, np.nan]), facts([700], "good")) == (
        [12, 12, 10],
        [],
    )


def test_a_rare_image_of_another_device_is_odd_and_a_bright_one_is_not():
    many = np.linspace(2000, 4000, 39)
    assert bits_of(facts([*many, 60000])) == ([12] * 40, [39])
    assert bits_of(facts([*many, 9000])) == ([14] * 40, [])
    assert bits_of(facts([*many[:3], 60000])) == ([16] * 4, [])  # one in four is not rare


def test_an_image_beyond_what_it_declares_is_odd():
    assert bits_of(facts([5000, 3000], declared=12.0)) == ([12, 12], [0])


def test_floats_and_scales_that_count_from_white():
    assert bits_of(facts([0.3, 1.0], dtype="float32")) == ([UNIT, UNIT], [])
    assert bits_of(facts([0.3, 255.0], dtype="float32")) == ([8, 8], [])
    assert bits_of(facts([4000, 900], inverted=True)) == ([12, 12], [])
    assert bits_of(facts([4000, 9000], inverted=True)) == ([16, 16], [])
    assert bits_of(facts([4000, 900]), facts([60000], inverted=True)) == ([12, 12, 16], [])


def write(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **options)
    path.write_bytes(stream.getvalue())


def listed(root, rows):
    lines = ["file,domain,label", *(",".join(row) for row in rows)]
    (root / "mine").mkdir(parents=True, exist_ok=True)
    (root / "mine" / "labels.csv").write_text("\n".join(lines) + "\n")


PROFILE = dict(
    data_kind="table", data_dir="mine", positive_label="blast", negative_label="none",
    source_domain="good", target_domain="phone", second_target_domain="other", image_size=32,
)  # fmt: skip


def embryos(root, top, count=4, **options):
    """Two domains of a 12-bit camera, exposures up to ``top``."""
    rows = []
    for number in range(2 * count):
        domain = ("good", "phone")[number % 2]
        file = f"{domain}/{number}.tif"
        exposure = top if number < 2 else top / (1 + number / 4)
        write(root / "mine" / file, np.rint(LIGHT * exposure).astype(np.uint16), **options)
        rows.append((file, domain, ("none", "blast")[number // 2 % 2]))
    listed(root, rows)
    return open_source(EmbryoParameters(**PROFILE), root)


def test_a_source_scales_every_exposure_alike(tmp_path):
    source = embryos(tmp_path, 4000)
    dim = source.read("good/6.tif")  # asked for before the table is
    assert np.abs(dim - LIGHT * 1600 * 255 / 4095).max() <= 1
    assert set(source.table()["bits"]) == {12}
    assert np.abs(source.read("good/0.tif") - LIGHT * 4000 * 255 / 4095).max() <= 1


def test_a_column_of_the_list_says_the_depth(tmp_path):
    embryos(tmp_path, 900)
    place = tmp_path / "mine" / "labels.csv"
    head, *rows = place.read_text().splitlines()
    place.write_text("\n".join([f"{head},bits", *(f"{row},12" for row in rows)]))
    source = open_source(EmbryoParameters(**PROFILE), tmp_path)
    assert np.abs(source.read("good/0.tif") - LIGHT * 900 * 255 / 4095).max() <= 1
    assert set(source.table()["bits"]) == {12}
    place.write_text("\n".join([f"{head},bits", *(f"{row},17" for row in rows)]))
    with pytest.raises(InputError, match=r"labels\.csv: row 2: bits 17 is no depth"):
        open_source(EmbryoParameters(**PROFILE), tmp_path)


def test_a_device_of_several_depths_is_named(tmp_path):
    source = embryos(tmp_path, 4000)
    write(tmp_path / "mine" / "phone" / "1.tif", np.rint(LIGHT * 255).astype(np.uint8))
    with pytest.warns(UserWarning, match="phone holds images of several depths: 1 of 8 bits, 3 of"):
        source.table()


def test_planes_of_a_stack_are_images_of_one_group(tmp_path):
    embryos(tmp_path, 4000)
    planes = np.rint(np.stack([LIGHT * (k + 1) * 30 for k in range(7)])).astype(np.uint8)
    for name, file in (("imagej", "good/0.tif"), ("ome", "phone/1.tif")):
        write(tmp_path / "mine" / file, planes, **{name: True}, metadata={"axes": "ZYX"})
    for count, numbers in ((1, None), (2, (3, 4)), (3, (3, 4, 5))):
        source = open_source(EmbryoParameters(**PROFILE, focal_planes=count), tmp_path)
        table = source.table()
        own = table[table["id"].str.startswith("good/0.tif")]
        wanted = ["good/0.tif"] if numbers is None else [f"good/0.tif#{n}" for n in numbers]
        assert own["id"].tolist() == wanted
        assert set(own["group"]) == {"good/0.tif"}
        assert own["sha256"].nunique() == len(own)
        for id, number in zip(wanted, numbers or (4,), strict=True):
            assert np.array_equal(source.read(id), planes[number - 1])
        left = source.unused[source.unused["id"].isin(wanted)]
        assert set(left["reason"]) == {f"{7 - count} of 7 focal planes"}
        assert len(left) == len(own)


def test_central_planes():
    assert [central(7, k) for k in (1, 2, 3, 9)] == [[4], [3, 4], [3, 4, 5], [*range(1, 8)]]
    assert central(4, 1) == [2]
    assert central(1, 3) == [1]


@pytest.mark.parametrize("level", [0, 1, 128, 255])
@pytest.mark.parametrize("noise", [0.0, 1.5])
def test_blank_frames_are_counted_with_a_reason(tmp_path, level, noise):
    rng = np.random.default_rng(0)
    flat = np.clip(np.rint(level + rng.normal(0, noise, (96, 96))), 0, 255).astype(np.uint8)
    faint = np.rint(120 + 8 * np.kron(LIGHT, np.ones((3, 3)))).astype(np.uint8)
    write(tmp_path / "flat.tif", flat)
    write(tmp_path / "faint.tif", faint)
    entries = pd.DataFrame(dict(id=["flat.tif", "faint.tif"], domain="phone"))
    found = inspect_files(tmp_path, entries)
    assert found.table["id"].tolist() == ["faint.tif"]
    assert found.excluded["id"].tolist() == ["flat.tif"]
    assert "blank frame, without structure: grey levels" in found.excluded["reason"].item()


def test_a_single_image_of_another_device_is_odd_among_few_others_too():
    assert bits_of(facts([4000] * 10 + [60000])) == ([12] * 11, [10])


def test_one_file_that_declares_another_depth_does_not_decide_for_all():
    undeclared = facts([4000] * 30)
    assert bits_of(undeclared, facts([60000], declared=16.0)) == ([12] * 30 + [16], [])
    assert bits_of(undeclared, facts([1000], declared=10.0)) == ([12] * 30 + [10], [])


def test_a_depth_that_few_images_need_is_said(tmp_path):
    for number in range(12):
        peak = 60000 if number < 3 else 4000
        write(tmp_path / f"{number}.tif", np.rint(LIGHT * peak).astype(np.uint16))
    entries = pd.DataFrame(dict(id=[f"{n}.tif" for n in range(12)], domain="phone"))
    found = inspect_files(tmp_path, entries)
    assert set(found.table["bits"]) == {16}
    (sentence,) = found.warnings
    assert "phone: 3 of 12 images need 16 bits, the others at most 12 bits" in sentence


def test_levels_of_8_bits_stay_so_whatever_the_list_says(tmp_path):
    write(tmp_path / "a.tif", np.rint(LIGHT * 255).astype(np.uint8))
    entries = pd.DataFrame(dict(id=["a.tif"], domain="phone", bits=[12.0]))
    assert inspect_files(tmp_path, entries).table["bits"].tolist() == [8]
