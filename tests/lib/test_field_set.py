"""Fields of a run: division, pictures, and that no target label reaches who has none."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from engine.errors import InputError
from engine.parameters import check_params, load_params
from engine.paths import ROOT
from engine.store import Store
from lib.data import simulated_fields as simulation
from lib.data.field_set import PARTS, FieldSet, divide
from lib.data.field_sources import JoinedFields, open_fields
from lib.data.fields import COLUMNS, FieldSource
from lib.data.seed_ranges import BLOCK, RUNS
from lib.evaluation.cell_arms import (
    UNTOUCHED,
    Fits,
    compare_arms,
    needs_no_labels,
    read_home,
    score_arms,
)
from lib.models import cell_readers, cell_translators
from lib.models.cell_parameters import CellParameters
from lib.models.cell_readers import FEW, few_groups, readers_of, with_particles
from lib.models.cell_translators import translators_of
from lib.models.readers import FittedReader
from lib.models.unet import UNet
from lib.models.unet_training import chances
from lib.phantom.cells import SMALL
from lib.studies import cells

TINY = dict(
    study="cells", source_frames=12, target_frames=9, image_size=32, unet_filters=4, unet_steps=2,
    base_filters=4, blocks=1, translator_batch=2, translator_steps=2, simulated_phantoms=24,
    simulated_looks=2, simulated_steps=2, threads=1, device="cpu",
)  # fmt: skip


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    params = CellParameters(**TINY)
    return FieldSet.open(
        params, tmp_path_factory.mktemp("data"), Store(tmp_path_factory.mktemp("s"))
    )


# --- division -------------------------------------------------------------------------------


def groups_of(split):
    return split.groupby(["domain", "split"])["group"].agg(set)


def image_table(frames, drawn=None):
    rows = [
        dict(id=f"{domain}/{frame}#{tile}", domain=domain, group=f"f{frame}",
             drawn_by="expert" if drawn is None or frame < drawn else "")
        for domain in ("phase", "gel")
        for frame in range(frames)
        for tile in range(3)
    ]  # fmt: skip
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


@pytest.mark.parametrize("frames", [3, 4, 10])
@pytest.mark.parametrize("shares", [(0.375, 0.2), (0.01, 0.01), (0.89, 0.89)])
def test_frames_stay_together_and_every_part_has_one(frames, shares):
    table = image_table(frames)
    split = divide(table, "phase", *shares, seed=0)
    assert split.drop(columns="split").equals(table)
    parts = groups_of(split)
    for domain in ("phase", "gel"):
        own = parts[domain]
        assert set(own.index) == set(PARTS)
        assert sum(map(len, own)) == frames == len(set.union(*own))


def test_shares_are_of_groups_and_of_those_that_are_left():
    parts = groups_of(divide(image_table(40), "phase", 0.375, 0.2, 0))
    for domain in ("phase", "gel"):
        assert [len(parts[domain, name]) for name in PARTS] == [20, 5, 15]


def test_another_seed_is_another_division_and_the_same_one_the_same():
    table = image_table(10)
    assert divide(table, "phase", 0.4, 0.2, 0).equals(divide(table, "phase", 0.4, 0.2, 0))
    by_order = divide(table.sort_values("id"), "phase", 0.4, 0.2, 0).sort_index()
    assert by_order.equals(divide(table, "phase", 0.4, 0.2, 0).sort_index())
    held = {
        frozenset(groups_of(divide(table, "phase", 0.4, 0.2, s))["gel", "holdout"])
        for s in range(9)
    }
    assert len(held) > 5


def test_groups_in_which_nobody_drew_cells_train():
    split = divide(image_table(30, drawn=5), "phase", 0.4, 0.3, 0)
    for name in ("valid", "holdout"):
        assert (split.loc[split["split"] == name, "drawn_by"] == "expert").all()
    assert set(split[split["drawn_by"] == ""]["split"]) == {"train"}
    parts = groups_of(split)
    assert [len(parts["gel", name]) for name in PARTS] == [27, 1, 2]


@pytest.mark.parametrize(
    ("source", "frames", "drawn", "words"),
    [
        ("gel", 2, None, r"gel: 2 group\(s\) of images with drawn cells, 3 needed.* Add images"),
        ("gel", 9, 2, r"gel: 2 group\(s\) of images with drawn cells, 3 needed.* Add images"),
        ("phase", 9, 0, r"gel: 0 group\(s\) of images with drawn cells, 1 needed.* Add images"),
        ("phase", 2, None, r"none is left to adapt to. Add images"),
    ],
)
def test_too_few_groups_are_refused_with_a_remedy(source, frames, drawn, words):
    table = image_table(frames, drawn)
    if source == "phase":  # which has enough of its own
        table = pd.concat(
            [table[table["domain"] == "gel"], image_table(9).query("domain == 'phase'")]
        )
        table = table.reset_index(drop=True)
    with pytest.raises(InputError, match=words):
        divide(table, source, 0.4, 0.2, 0)


def test_the_only_drawn_video_of_a_target_is_held_out():
    table = image_table(9, drawn=1)
    table.loc[table["domain"] == "phase", "drawn_by"] = "expert"
    split = divide(table, "phase", 0.4, 0.2, 0)
    gel = split[split["domain"] == "gel"]
    assert (gel.loc[gel["drawn_by"] != "", "split"] == "holdout").all()
    assert (gel.loc[gel["drawn_by"] == "", "split"] == "train").all()


def test_a_run_of_too_few_groups_is_refused_before_it_starts(fields):
    class Few(FieldSource):
        read_many = instances = fingerprint = None

        def table(self):
            return fields.source.table().query("group < 'gel/01000002'")

    with pytest.raises(InputError, match=r"gel: all 2 group\(s\)"):
        cells.check(fields.params, Few())


# --- fields ---------------------------------------------------------------------------------


def test_rows_of_a_part_are_its_own(fields):
    seen = []
    for domain in ("phase", "gel"):
        for part in PARTS:
            rows = fields.rows(domain, part)
            assert set(rows["domain"]) == {domain}
            assert set(rows["split"]) == {part}
            seen += rows["id"].tolist()
    assert sorted(seen) == sorted(fields.split["id"])
    undrawn = fields.split.assign(drawn_by="")
    other = replace(fields, split=undrawn)
    assert len(other.rows("gel", "train")) == 0
    assert len(other.rows("gel", "train", drawn=False)) == len(fields.rows("gel", "train"))
    with pytest.raises(InputError, match=r"no field is left .* check domains and masks"):
        other.stack(other.rows("gel", "train"))


def test_the_same_cells_through_the_sources_device(fields):
    """Where the truth says that there are cells, both photographs are rough."""
    assert fields.has_truth()
    rows = fields.rows("gel", "holdout")
    own, home = fields.stack(rows), fields.stack(rows, "phase")
    masks = fields.masks(rows)
    assert own.dtype == home.dtype == torch.uint8
    assert own.shape == home.shape == masks.shape == (len(rows), 1, 32, 32)
    assert not torch.equal(own, home)
    assert torch.equal(masks, fields.instances(rows) > 0)
    view = fields.source.through("phase")
    again = view.instances(rows["id"].tolist())
    assert np.array_equal(np.stack(again), fields.instances(rows)[:, 0])
    some = masks.flatten(1).any(1) & ~masks.flatten(1).all(1)
    for stack in (own, home):
        x = stack[some, 0].float()
        steep = torch.stack(torch.gradient(x, dim=(1, 2))).norm(dim=0)
        inside = masks[some, 0]
        assert steep[inside].mean() > 1.1 * steep[~inside].mean()
        assert steep[inside].mean() > 1.1 * steep[inside.roll(1, 0)].mean()
    with pytest.raises(InputError, match="skip the oracle"):
        fields.stack(rows, "confocal")


def test_other_parameters_keep_images_and_division(fields):
    other = fields.with_params(seed=7, unet_steps=3)
    assert (other.params.seed, other.params.unet_steps) == (7, 3)
    assert other.split is fields.split
    rows = fields.rows("gel", "valid")
    assert torch.equal(other.stack(rows), fields.stack(rows))
    with pytest.raises(InputError, match="unet_stebs"):
        fields.with_params(unet_stebs=3)


def test_few_groups_are_whole_frames_of_the_training_part_and_grow(fields):
    train = set(fields.rows("gel", "train")["id"])
    before = set()
    for count in (1, 2, 3):
        rows = few_groups(fields, count)
        assert rows["group"].nunique() == count
        assert len(rows) == 12 * count
        assert before < set(rows["id"]) <= train
        before = set(rows["id"])
    drawn = {few_groups(fields.with_params(seed=s), 1)["group"].iloc[0] for s in range(9)}
    assert len(drawn) > 1


# --- who sees what --------------------------------------------------------------------------


def jobs_of(fields, monkeypatch):
    """Ingredients of all trainings, by name, without training."""
    caught = []

    def catch(store, jobs, params):
        caught.append(jobs)
        raise StopIteration

    for module, fit, named in (
        (cell_readers, cell_readers.fit_readers, readers_of(fields)),
        (cell_translators, cell_translators.fit_translators, translators_of(fields.params)),
    ):
        monkeypatch.setattr(module, "fitted_networks", catch)
        with pytest.raises(StopIteration):
            fit(fields, named)
    names = [*readers_of(fields), *translators_of(fields.params), "simulated"]
    jobs = [job for some in caught for job, _ in some.values()]
    return dict(zip(names, (job.ingredients for job in jobs), strict=True))


def equal(one, other):
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and np.array_equal(one, other)
    return one == other


class Redrawn(FieldSet):
    """The same fields where target cells are drawn upside down."""

    def instances(self, rows):
        found = super().instances(rows)
        turned = torch.tensor((rows["domain"] == self.params.target_domain).tolist())
        return torch.where(turned[:, None, None, None], (found == 0).int(), found)


def test_labels_of_the_target_reach_the_arms_with_labels_alone(fields, monkeypatch):
    plain = jobs_of(fields, monkeypatch)
    redrawn = Redrawn(fields.params, fields.source, fields.split, fields.store)
    other = jobs_of(redrawn, monkeypatch)
    assert plain.keys() == other.keys()
    for name, ingredients in plain.items():
        same = all(equal(value, other[name][key]) for key, value in ingredients.items())
        assert same == needs_no_labels(name), name
    labelled = {name for name in plain if not needs_no_labels(name)}
    groups = fields.rows("gel", "train")["group"].nunique()
    few = {f"labels_{count}" for count in FEW if count <= groups}
    assert labelled == {"target"} | few
    assert few


def test_target_images_reach_the_training_that_may_see_them_and_only_of_its_part(
    fields, monkeypatch
):
    jobs = jobs_of(fields, monkeypatch)
    train = fields.stack(fields.rows("gel", "train")).numpy()
    blind = {name for name, job in jobs.items() if job.get("target") is None}
    games = {name for name in jobs if name.startswith("reversal_")}
    gans = set(translators_of(fields.params))
    assert set(jobs) - blind == games | gans
    for name in games | gans:
        assert np.array_equal(jobs[name]["target"], train), name
    held = {image.tobytes() for part in ("valid", "holdout") for domain in ("phase", "gel")
            for image in fields.stack(fields.rows(domain, part)).numpy()}  # fmt: skip
    target = {image.tobytes() for image in train}
    for name, job in jobs.items():
        shown = {i.tobytes() for key in ("images", "source") if key in job for i in job[key]}
        assert not shown & held, name
        assert bool(shown & target) == (not needs_no_labels(name)), name


def test_images_of_the_published_rows(fields, monkeypatch):
    jobs, home = jobs_of(fields, monkeypatch), fields.rows("phase", "train")
    count, small = len(home), int(home["label"].isin(SMALL).sum())
    assert 0 < small < count
    sizes = {name: len(job["images"]) for name, job in jobs.items() if "images" in job}
    assert sizes[UNTOUCHED] == sizes["unet_particles"] == count
    p = fields.params
    assert sizes["random_optics"] == p.simulated_phantoms * p.simulated_looks
    assert sizes["unet_empty"] == sizes["unet_particles_simulated"] == 2 * count
    assert sizes["reversal_small"] == small
    assert sizes["reversal_small_particles_simulated"] == 2 * small
    assert sizes["labels_1"] == sizes["labels_3"] == 2 * count
    assert sizes["target"] == len(fields.rows("gel", "train"))
    empty = jobs["unet_empty"]
    assert not empty["masks"][count:].any()
    assert np.array_equal(empty["images"][:count], jobs[UNTOUCHED]["images"])
    blobs = jobs["unet_particles"]
    assert np.array_equal(blobs["masks"], jobs[UNTOUCHED]["masks"])
    assert (blobs["images"] <= jobs[UNTOUCHED]["images"]).all()
    assert (blobs["images"] < jobs[UNTOUCHED]["images"]).any()
    added, every = jobs["unet_particles_simulated"], jobs["random_optics"]
    # The simulated ones are from the first culture and from the last.
    for place in (count, -1):
        same = (every["images"] == added["images"][place]).all((1, 2, 3)).nonzero()[0]
        assert (every["masks"][same] == added["masks"][place]).all()
        tile = same[0] // p.simulated_looks
        assert tile == 0 if place > 0 else tile >= p.simulated_phantoms - 2


def test_particles_depend_on_the_seed(fields):
    stack = fields.stack(fields.rows("phase", "valid"))
    assert torch.equal(with_particles(stack, 3), with_particles(stack, 3))
    assert not torch.equal(with_particles(stack, 3), with_particles(stack, 4))


# --- phantoms that no run meets -------------------------------------------------------------


def seeds_of(monkeypatch, make):
    """Seeds of cultures that are grown, and of photographs that are taken, while ``make`` runs."""
    met = []

    def note(name, place):
        real = getattr(simulation, name)

        def noted(*given, **options):
            met.extend(given[place])
            return real(*given, **options)

        return name, noted

    with monkeypatch.context() as m:
        for name, place in (("grown", 1), ("photograph_cultures", 1), ("photograph_by_random", 1)):
            m.setattr(simulation, *note(name, place))
        make()
    return {int(seed) for seed in met}


def test_simulated_fields_share_no_seed_with_any_run(fields, monkeypatch, tmp_path):
    highest = 2 * RUNS * BLOCK  # more than `PhantomFields` can reach
    assert max(seed for _, seed in fields.source._frames) < 2 * BLOCK
    makers = dict(
        registered=lambda p: simulation.registered_fields(p, 13, 1, Store(tmp_path)),
        watched=lambda p: simulation.registered_fields(p, 13, 1, Store(tmp_path), watched=True),
        empty=lambda p: simulation.empty_fields(p, 13),
    )
    met = {}
    for seed in (0, 1, 2**31 - 1):
        params = fields.with_params(seed=seed).params
        for name, make in makers.items():
            met[name, seed] = seeds_of(monkeypatch, lambda make=make, p=params: make(p))
            assert min(met[name, seed]) > highest
    for key, seeds in met.items():
        for other, theirs in met.items():
            assert key == other or not seeds & theirs, (key, other)


def test_simulated_fields_are_tiles_with_their_masks(fields, tmp_path):
    p, store = fields.params, Store(tmp_path)
    found = simulation.registered_fields(p, 13, 2, store)
    assert (found.looks.shape, found.home.shape) == ((13, 2, 32, 32), (13, 1, 32, 32))
    assert (found.looks.dtype, found.instances.dtype) == (torch.uint8, torch.int32)
    assert not torch.equal(found.looks[:, 0], found.looks[:, 1])
    images, masks = found.labelled
    assert images.shape == masks.shape == (26, 1, 32, 32)
    for place in (0, 1, 25):
        tile, machine = divmod(place, 2)
        assert torch.equal(images[place, 0], found.looks[tile, machine])
        assert torch.equal(masks[place], found.instances[tile] > 0)
    assert 0 < masks.float().mean() < 0.7
    again = simulation.registered_fields(p, 13, 2, store)
    assert torch.equal(again.looks, found.looks)
    assert torch.equal(simulation.registered_fields(p, 5, 1, store).looks, found.looks[:5, :1])
    watched = simulation.registered_fields(p, 13, 1, store, watched=True)
    assert not torch.equal(watched.instances, found.instances)
    empty = simulation.empty_fields(p, 13)
    assert empty.shape == (13, 1, 32, 32)
    assert empty.float().std((2, 3)).mean() < found.home.float().std((2, 3)).mean()


# --- fields in files ------------------------------------------------------------------------


def picture(seed, height=48, width=40):
    """Textured image and two square cells, drawn as instances."""
    rng = np.random.default_rng(seed)
    image = rng.integers(90, 130, (height, width)).astype(np.uint8)
    labels = np.zeros((height, width), np.uint8)
    labels[6:16, 6:16], labels[24:34, 20:30] = 1, 2
    image[labels > 0] += 100
    return image, labels


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def test_listed_files_are_a_run(tmp_path):
    rows = []
    for place, domain in enumerate(("flat", "gel")):
        for number in range(5):
            image, labels = picture(10 * place + number)
            file, mask = f"{domain}/{number}.png", f"masks/{domain}{number}.png"
            save(tmp_path / "mine" / file, image)
            drawn = not (domain == "gel" and number == 4)
            if drawn:
                save(tmp_path / "mine" / mask, labels)
            rows.append((file, domain, mask if drawn else ""))
    table = pd.DataFrame(rows, columns=["file", "domain", "instances"])
    table.to_csv(tmp_path / "mine" / "labels.csv", index=False)
    params = CellParameters(**TINY | dict(
        data_kind="table", data_dir="mine", source_domain="flat", source_window=32,
        target_window=40,
    ))  # fmt: skip
    fields = FieldSet.open(params, tmp_path, Store(tmp_path / "store"))
    cells.check(params, cells.open_images(params, tmp_path))
    assert fields.note == "real images"
    assert params.facts[0] == "real images"
    assert not fields.has_truth()
    assert len(fields.rows("gel", "train", drawn=False)) > len(fields.rows("gel", "train"))
    home = fields.rows("flat", "holdout")
    assert fields.stack(home).shape == fields.masks(home).shape == (len(home), 1, 32, 32)
    image, labels = picture(int(home["id"].iloc[0][5]))
    assert np.array_equal(fields.stack(home)[0, 0], image[8:40, 4:36])
    assert np.array_equal(fields.masks(home)[0, 0], labels[8:40, 4:36] > 0)
    # Nothing simulated, empty or of small cells there.
    assert {"unet", "target", "reversal_last", "labels_1"} <= set(readers_of(fields))
    assert not {"random_optics", "unet_empty", "reversal_small"} & set(readers_of(fields))
    assert set(translators_of(params)) == {
        "cyclegan_source", "cyclegan", "cyclegan_mind", "cyclegan_structure",
    }  # fmt: skip


def box(x, y, side):
    return [[x, y, x + side, y, x + side, y + side, x, y + side]]


@pytest.fixture
def published(tmp_path):
    """Three wells of LIVECell and four videos of three frames, one of them not drawn."""
    images, annotations = [], []
    for place, well in enumerate(("A1", "A2", "B7")):
        name = f"BV2_Phase_{well}_1_00d00h00m_1.tif"
        save(tmp_path / "livecell/images" / name, picture(place, 36, 68)[0])
        images.append(dict(id=place, file_name=name, height=36, width=68))
        annotations.append(
            dict(id=place + 1, image_id=place, category_id=1, iscrowd=0,
                 segmentation=box(4 + 32 * (place % 2), 8, 10))
        )  # fmt: skip
    text = json.dumps(dict(images=images, annotations=annotations))
    (tmp_path / "livecell/train.json").write_text(text)
    (tmp_path / "livecell/none.tif").write_bytes(b"")
    for video in range(4):
        for frame in range(3):
            image, labels = picture(10 + 3 * video + frame, 70, 130)
            save(tmp_path / f"videos/v{video}/{frame}.png", image)
            if frame == 1 and video < 3:
                mask = (255 * (labels > 0)).astype(np.uint8)
                save(tmp_path / f"videos/masks/v{video}/{frame}.png", mask)
    return tmp_path


PUBLISHED = TINY | dict(
    data_kind="livecell", data_dir="livecell", target_dir="videos", annotations="train.json",
    mask_threshold=127, source_window=32, target_window=64, frame_step=2,
)  # fmt: skip


def test_the_published_studys_own_data_are_a_run(published):
    params = CellParameters(**PUBLISHED)
    source = cells.open_images(params, published)
    assert isinstance(source, JoinedFields)
    cells.check(params, source)
    table = source.table()
    assert list(table.columns) == COLUMNS
    assert table["id"].is_unique
    home, away = (table[table["domain"] == domain] for domain in ("phase", "gel"))
    assert len(home) == 3 * 2  # 36 x 68 px in tiles of 32
    assert len(away) == (4 * 2 + 3) * 2  # of each video frames 0 and 2, and 1 where it has a mask
    assert set(away["group"]) == {"v0", "v1", "v2", "v3"}
    assert set(home["group"]) == {"BV2_A1", "BV2_A2", "BV2_B7"}
    assert set(away.loc[away["drawn_by"] == "expert", "id"]) == {
        f"gel/v{video}/1.png#0,{column}" for video in range(3) for column in range(2)
    }
    fields = FieldSet(
        params, source, divide(table, "phase", 0.4, 0.4, 0), Store(published / "store")
    )
    assert "v3" in set(fields.rows("gel", "train", drawn=False)["group"])
    ids = ["gel/v0/1.png#0,1", "phase/images/BV2_Phase_A2_1_00d00h00m_1.tif#0,1",
           "gel/v0/1.png#0,0"]  # fmt: skip
    first, second, third = source.read_many(ids)
    assert np.array_equal(second, picture(1, 36, 68)[0][:32, 32:64])
    maps = source.instances(ids)
    assert not maps[0].any()
    expected = np.zeros((32, 32), bool)
    expected[8:18, 4:14] = True
    assert np.array_equal(maps[1] > 0, expected)
    assert maps[2].max() == 2  # at half the size
    wide = picture(11, 70, 130)[1][:64, :64].reshape(32, 2, 32, 2).any((1, 3))
    assert np.array_equal(maps[2] > 0, wide)
    assert first.shape == third.shape == (32, 32)
    assert {start.split("/")[0] for start in source.excluded["id"]} <= {"phase", "gel"}


def test_what_is_left_out_of_either_domain_is_counted(published):
    save(published / "videos/loose.png", picture(0)[0])
    (published / "livecell/images/BV2_Phase_A1_1_00d00h00m_1.tif").write_bytes(b"torn")
    source = open_fields(CellParameters(**PUBLISHED), published)
    with pytest.warns(UserWarning, match="cannot be used"):
        source.table()
    reasons = source.excluded.set_index("id")["reason"]
    assert "not in a folder of a video" in reasons["gel/loose.png"]
    assert "TIFF" in reasons["phase/images/BV2_Phase_A1_1_00d00h00m_1.tif"]
    assert list(source.unused.columns) == list(source.excluded.columns)


def test_fingerprint_of_joined_fields_is_of_all(published):
    def mark(**changes):
        return open_fields(CellParameters(**PUBLISHED | changes), published).fingerprint()

    before = mark()
    assert mark() == before
    known = {before, mark(frame_step=1), mark(source_window=16), mark(target_window=32)}
    assert len(known) == 4
    save(published / "videos/masks/v0/1.png", np.zeros((70, 130), np.uint8))
    assert mark() not in known


def test_ids_of_joined_fields_are_their_own(published):
    source = open_fields(CellParameters(**PUBLISHED), published)
    with pytest.raises(InputError, match=r"no field 'v0/1\.png#0,0'\. Choose ids"):
        source.read_many(["v0/1.png#0,0"])
    strange = CellParameters(**PUBLISHED | dict(source_domain="gel/v0", target_domain="gel"))
    other = open_fields(strange, published).table()
    assert other["id"].is_unique
    assert set(other["domain"]) == {"gel/v0", "gel"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("data_dir", "name the folder"),
        ("target_dir", "livecell needs the folder of the videos"),
        ("annotations", "livecell needs the json files"),
        ("lines", "livecell needs the cell lines"),
    ],
)
def test_livecell_is_refused_without_what_it_needs(name, words):
    with pytest.raises(InputError, match=f"{name} is empty.*{words}"):
        check_params(PUBLISHED | {name: ""}, "here")


def test_the_published_profile_has_the_published_sizes():
    """Aarnio et al. 2022, sections 3 and 4."""
    p = load_params(ROOT / "params" / "cells_paper.yaml")
    assert (p.data_kind, p.image_size, p.windows) == ("livecell", 256, dict(phase=256, gel=512))
    assert (p.unet_batch, p.unet_rate, p.unet_steps) == (5, 1e-3, 20 * 5239 // 5)
    assert (p.translator_batch, p.translator_rate) == (16, 2e-4)
    assert p.translator_steps == round(50 * 5239 / 16)
    own = cell_translators.PUBLISHED_GENERATOR
    assert {name: getattr(p, name) for name in own} == own | dict(texture_loss=p.texture_loss)


def test_at_home_every_network_without_target_labels_is_judged_as_any_arm(fields):
    torch.manual_seed(0)
    networks = {name: UNet(4).eval() for name in ("unet", "randomised", "labels_1", "target")}
    readers = {
        name: FittedReader(network, 0.4 + 0.05 * place, pd.DataFrame(), 0.0)
        for place, (name, network) in enumerate(networks.items())
    }
    home = read_home(fields, Fits(readers, {})).set_index("arm")
    assert list(home.index) == ["unet", "randomised"]
    rows = fields.rows("phase", "holdout")
    found = {name: chances(networks[name], fields.stack(rows)) >= readers[name].threshold
             for name in home.index}  # fmt: skip
    table = compare_arms(score_arms(fields, found, rows, 0), ["dice"]).set_index("arm")
    for name, row in home.iterrows():
        assert row["threshold"] == readers[name].threshold
        for part in ("value", "low", "high", "n", "groups", "seeds"):
            assert row[part] == table.loc[name, part], (name, part)
