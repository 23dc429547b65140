import numpy as np
import pytest
from scipy import ndimage

from lib.phantom.embryo import AMBIGUOUS_SHARE, EXTENT, grow

SEEDS = np.arange(300)


@pytest.fixture(scope="module")
def embryos():
    return grow(SEEDS, 48, positive_share=0.6)


def _radius(size):
    line = ((np.arange(size) + 0.5) * 2 / size - 1) * EXTENT
    return np.hypot(line[None, :], line[:, None])


def test_an_embryo_depends_on_its_seed_alone():
    together = grow(np.arange(40), 32, 0.6)
    alone = grow(np.array([7]), 32, 0.6)
    shuffled = grow(np.arange(40)[::-1], 32, 0.6)
    for name in ("height", "absorption", "label", "expansion", "embryo", "zona", "cavity", "icm"):
        whole = getattr(together, name)
        np.testing.assert_array_equal(whole[7], getattr(alone, name)[0], err_msg=name)
        np.testing.assert_array_equal(whole, getattr(shuffled, name)[::-1], err_msg=name)


def test_seeds_give_different_embryos(embryos):
    flat = embryos.height.reshape(len(SEEDS), -1)
    assert len(np.unique(flat, axis=0)) == len(SEEDS)


def test_size_changes_the_resolution_and_nothing_else():
    coarse, fine = grow(SEEDS[:30], 64, 0.6), grow(SEEDS[:30], 128, 0.6)
    np.testing.assert_array_equal(coarse.label, fine.label)
    for name in ("embryo", "cavity"):
        reduced = getattr(fine, name).reshape(30, 64, 2, 64, 2).mean(axis=(2, 4)) > 0.5
        mask = getattr(coarse, name)
        assert (mask ^ reduced).sum() < 0.02 * mask.size, name
    reduced = fine.height.reshape(30, 64, 2, 64, 2).mean(axis=(2, 4))
    for a, b in zip(coarse.height, reduced, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.97


def test_the_outer_zona_has_radius_one_and_is_centred(embryos):
    area = embryos.embryo.sum(axis=(1, 2)) * (2 * EXTENT / 48) ** 2
    assert np.abs(np.sqrt(area / np.pi) - 1).max() < 0.03
    for mask in embryos.embryo[:40]:
        offset = (np.array(ndimage.center_of_mass(mask)) - 23.5) * 2 * EXTENT / 48
        assert np.abs(offset).max() < 0.03


def test_masks_nest(embryos):
    assert not (embryos.zona & ~embryos.embryo).any()
    assert not (embryos.cavity & ~embryos.embryo).any()
    assert not (embryos.cavity & embryos.zona).sum() > 0.001 * embryos.cavity.sum()
    assert not (embryos.cavity & embryos.icm).any()
    assert embryos.zona.any(axis=(1, 2)).all()


def test_nothing_lies_outside_the_embryo(embryos):
    outside = _radius(48) > 1.06
    assert np.abs(embryos.height[:, outside]).max() == 0
    assert embryos.absorption[:, outside].max() == 0
    assert embryos.absorption.min() >= 0
    assert np.isfinite(embryos.height).all()


def test_blastocysts_have_a_cavity_and_an_inner_cell_mass(embryos):
    positive = embryos.label == 1
    clear = ~embryos.ambiguous
    share = embryos.cavity.sum(axis=(1, 2)) / embryos.embryo.sum(axis=(1, 2))
    assert share[positive & clear].min() > 0.05
    assert not embryos.icm[~positive].any()
    expanded = positive & (embryos.cavity_size > 0.7)
    assert embryos.icm[expanded].any(axis=(1, 2)).all()
    solid = ~positive & (embryos.cavity_size == 0)
    assert solid.sum() > 20
    assert not embryos.cavity[solid].any()


def test_expanded_embryos_have_a_thin_zona(embryos):
    share = embryos.zona.sum(axis=(1, 2)) / embryos.embryo.sum(axis=(1, 2))
    assert share[embryos.cavity_size > 0.88].max() < share[embryos.cavity_size == 0].min()


def test_classes_overlap_on_the_cavity_only_where_meant_to():
    many = grow(np.arange(3000), 8, 0.6)
    clear = ~many.ambiguous
    negative = many.cavity_size[clear & (many.label == 0)]
    positive = many.cavity_size[clear & (many.label == 1)]
    assert positive.min() < negative.max()
    assert (positive < negative.max()).mean() < 0.2
    assert abs(many.ambiguous.mean() - AMBIGUOUS_SHARE) < 0.015
    both = [many.cavity_size[many.ambiguous & (many.label == k)] for k in (0, 1)]
    assert abs(both[0].mean() - both[1].mean()) < 0.05


@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
def test_positive_share_is_kept(share):
    assert abs(grow(np.arange(2000), 8, share).label.mean() - share) < 0.04
