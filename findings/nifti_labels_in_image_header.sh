#!/usr/bin/env bash
# nibabel: a label map saved with the header of its image no longer holds whole numbers.
#
# One would expect: labels 0 to 5, saved with the header of the CT they belong to and read again,
# are 0 to 5.
#
# What happens: the header says int16, the labels of a network are float32. nibabel then stores
# them over the whole range of int16 with a slope (7.6e-05), so that 3 comes back a hair beside 3.
# They print as 0 to 5, but "== k" finds no voxel of labels 1 to 5, and astype(uint8) cuts every
# label down by one: label 1 becomes background, and no voxel has label 5. Labels as uint8 are kept.
#
# Who is hurt: segmentation pipelines that pass image.header along to keep the voxel size. Dice is 0
# for all labels but the background, or each organ gets the number of the one before it. Rounding
# before the cast avoids it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nibabel==5.4.2 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import nibabel
import numpy as np

print("nibabel", nibabel.__version__, "numpy", np.__version__)
SHAPE, LABELS = (8, 8, 8), 6
chance = np.random.default_rng(0)
ct = nibabel.Nifti1Image(chance.integers(-1000, 1000, SHAPE).astype(np.int16), np.eye(4))
nibabel.save(ct, "ct.nii.gz")
ct = nibabel.load("ct.nii.gz")
labels = chance.integers(0, LABELS, SHAPE)


def count(values):
    return [int((values == label).sum()) for label in range(LABELS)]


truth = count(labels)
print("voxels of labels 0 to 5:", truth)
for kind in (np.float32, np.uint8):
    nibabel.save(nibabel.Nifti1Image(labels.astype(kind), ct.affine, ct.header), "labels.nii.gz")
    stored = nibabel.load("labels.nii.gz")
    values = stored.get_fdata()
    equal, cut, rounded = count(values), count(values.astype(np.uint8)), count(np.rint(values))
    print(f"saved as {kind.__name__}: slope {stored.dataobj.slope:.3g}")
    print("  printed:", np.unique(values))
    print("  found with ==      ", equal)
    print("  after astype(uint8)", cut)
    print("  after rounding     ", rounded)
    assert rounded == truth
    if kind is np.float32:
        assert equal == [truth[0], 0, 0, 0, 0, 0]
        assert cut == [truth[0] + truth[1], *truth[2:], 0]
    else:
        assert equal == cut == truth
PYTHON
