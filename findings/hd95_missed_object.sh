#!/usr/bin/env bash
# MONAI: a network that finds nothing gets the best Hausdorff distance there is.
#
# One would expect: a missed object makes the 95 % Hausdorff distance (0 is perfect) large, infinite
# or undefined, and the mean over the images shows it.
#
# What happens: the distance of a missed object is nan, and the mean leaves nan out. If all ten
# objects are missed nothing is left, and aggregate() says 0: better than a network that finds all
# ten two pixels off (2). A network that misses nine and meets one gets 0 as well. The mean surface
# distance of the same package says inf in both cases. get_not_nans=True tells how many counted.
#
# Who is hurt: whoever selects checkpoints or ranks methods by this number. An early checkpoint that
# predicts only background wins.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  monai==1.6.1 torch==2.15.0 numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import monai
import torch
from monai.metrics import DiceMetric, HausdorffDistanceMetric, SurfaceDistanceMetric

torch.set_num_threads(1)
print("monai", monai.__version__, "torch", torch.__version__)
truth = torch.zeros(10, 1, 32, 32)
truth[:, :, 8:16, 8:16] = 1
nothing = torch.zeros_like(truth)
one = nothing.clone()
one[0] = truth[0]
found = {"all 10, 2 pixels off": truth.roll(2, 2), "1 of 10, exactly": one, "0 of 10": nothing}
scores = {}
for name, mask in found.items():
    hausdorff = HausdorffDistanceMetric(
        include_background=True, percentile=95, get_not_nans=True
    )
    surface, dice = SurfaceDistanceMetric(include_background=True), DiceMetric()
    for metric in (hausdorff, surface, dice):
        metric(mask, truth)
    distance, counted = hausdorff.aggregate()
    scores[name] = [distance.item(), surface.aggregate().item(), dice.aggregate().item()]
    print(
        "found {}: HD95 {:.1f} (of {:.0f} images), surface distance {:.2f}, Dice {:.2f}".format(
            name, scores[name][0], counted.item(), *scores[name][1:]
        )
    )
distances = [values[0] for values in scores.values()]
assert distances == [2, 0, 0], distances
assert [values[1] for values in scores.values()][1:] == [float("inf")] * 2
assert scores["0 of 10"][2] == 0
PYTHON
