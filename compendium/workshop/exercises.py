"""Answers to the exercises, computed from the kept results of a run and never shown.

The key follows the run: another profile or seed has other answers. Where a solution computes with
the variables of its notebook, the key reads predictions and tables again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
import torch
from sklearn.metrics import balanced_accuracy_score

from engine.errors import InputError
from engine.keys import safe_key
from engine.results import Finished
from lib.data.appearance import STATISTICS
from lib.evaluation.metrics import combine_folds
from lib.models.texture import gradient_consistency, mind_loss
from lib.phantom.embryo import grow
from lib.phantom.optics import photograph

_RELATIVE, _ABSOLUTE = 0.01, 0.0006  # how far a number may be off: it may have been rounded


def _pairs_parted(audit: Finished) -> int:
    split, near = audit.table("split"), audit.table("near_duplicates")
    mixed = split["split"].sample(frac=1, random_state=0).to_numpy()
    side = dict(zip(split["id"], mixed, strict=True))
    return sum(side[a] != side[b] for a, b in zip(near["id_a"], near["id_b"], strict=True))


def _telling_statistic(audit: Finished) -> str:
    table = audit.table("image_statistics")
    spread = table.groupby("domain")[STATISTICS].mean().std() / table[STATISTICS].std()
    return str(spread.idxmax())


def _cost_of_one_half(baseline: Finished) -> float:
    own = combine_folds(baseline.predictions("holdout")).query("arm == 'grey'")
    limits = baseline.table("frozen_thresholds").set_index("arm")["threshold"]
    frozen, half = (
        balanced_accuracy_score(own["label"], own["score"] >= limit)
        for limit in (limits["grey"], 0.5)
    )
    return float(frozen - half)


def _wrong_in_every_fold(baseline: Finished) -> set[str]:
    own = baseline.predictions("holdout").query("arm == 'grey'")
    wrong = (own["score"] >= 0.5) != own["label"]
    return set(own["id"][wrong]) - set(own["id"][~wrong])


def _fall_of_the_weight(training: Finished) -> float:
    curve = training.table("history").query("arm == 'cyclegan_texture'").sort_values("step")
    return float(curve["texture_weight"].iloc[0] / curve["texture_weight"].iloc[-1])


def _blind_to_contrast(training: Finished) -> str:
    seeds = np.arange(8)
    images = photograph(grow(seeds, 64, 0.5), seeds, "ED1", 64).images.mean(-1)
    stack = torch.from_numpy(images).float()[:, None] / 127.5 - 1
    losses = {"gradient_consistency": gradient_consistency, "mind_loss": mind_loss}
    seen = {
        name: float(loss(0.5 * stack, stack) / loss(stack.roll(1, 0), stack))
        for name, loss in losses.items()
    }
    return min(seen, key=seen.__getitem__)


def _flattered_arm(evaluation: Finished) -> tuple[str, ...]:
    """The arm that gains most, or several that gain alike."""
    table = evaluation.table("table_2").query("metric == 'balanced_accuracy'")
    value = table.set_index(["protocol", "arm"])["value"]
    gain = value["optimistic"] - value["frozen"]
    return tuple(gain.index[np.isclose(gain, gain.max())])


def _disagreements(evaluation: Finished) -> int:
    record = evaluation.record()
    domain, seed = record["parameters"]["target_domain"], record["seed"]
    limits = evaluation.table("frozen_thresholds").query(f"seed == {seed}")
    limit = limits.set_index("arm")["threshold"]
    own = combine_folds(evaluation.predictions(safe_key(domain)).query(f"seed == {seed}"))
    scores = own.pivot(index="id", columns="arm", values="score")
    called = {arm: scores[arm] >= limit[arm] for arm in ("grey", "cyclegan_texture")}
    return int((called["grey"] ^ called["cyclegan_texture"]).sum())


def _greater_gain(second: Finished) -> str:
    targets = second.record()["parameters"]
    tables = {"second_target_domain": "table_2", "target_domain": "joint_on_first_target"}
    gains = {}
    for target, name in tables.items():
        table = second.table(name).query("metric == 'auc' and protocol == 'frozen'")
        value = table.set_index("arm")["value"]
        gains[targets[target]] = value["cyclegan_joint"] - value["grey"]
    return max(gains, key=gains.__getitem__)


def _cells_lost_at_one_half(segmentation: Finished) -> float:
    dice = segmentation.table("table_1").query("metric == 'dice'").set_index("arm")["value"]
    return float(dice["unet"] - dice["half"])


def _fields_harmed(segmentation: Finished) -> int:
    seed = segmentation.record()["seed"]
    own = segmentation.predictions("fields").query(f"seed == {seed}")
    dice = own.pivot(index="id", columns="arm", values="dice")
    return int((dice["cyclegan"] < dice["unet"]).sum())


def _nuclei_missed(stains: Finished) -> int:
    own = stains.predictions("fields").query(f"seed == {stains.record()['seed']}")
    own = own[own["arm"] == "hovernet"]
    return int((own["nuclei"] - own["matched"]).sum())


def _nuclei_invented(stains: Finished) -> int:
    own = stains.predictions("fields").query(f"seed == {stains.record()['seed']}")
    own = own[own["arm"] == "cyclegan"]
    return int((own["found"] - own["matched"]).sum())


Key = Callable[[Finished], Any]
# By the number of the notebook, in the order of its exercises.
KEYS: dict[str, tuple[Key, ...]] = {
    "01": (_pairs_parted, _telling_statistic),
    "02": (_cost_of_one_half, _wrong_in_every_fold),
    "03": (_fall_of_the_weight, _blind_to_contrast),
    "04": (_flattered_arm, _disagreements),
    "05": (_greater_gain,),
    "06": (_nuclei_missed, _nuclei_invented),
    "07": (_cells_lost_at_one_half, _fields_harmed),
}


def answer_checks(finished: Finished) -> Callable[[int, Any], None]:
    """The function ``check(n, answer)`` of a notebook, which says whether exercise n is right.

    It says what kind of answer is wanted, never the answer. Numbers may be off by 1 %.

    Raises
    ------
    InputError
        By ``check``: there is no exercise n.
    """
    keys = KEYS[finished.notebook.split("_")[0]]

    def check(n: int, answer: Any) -> None:
        if n not in range(1, len(keys) + 1):
            raise InputError(f"exercise {n} is unknown: there are 1 to {len(keys)}.")
        print(f"{n}: {_verdict(answer, keys[n - 1](finished), n)}")

    return check


def _verdict(answer: Any, key: Any, n: int) -> str:
    if answer is None:
        return f"no answer yet. Give answer_{n} a value in the cell above and run both cells."
    if isinstance(key, set):
        if isinstance(answer, str) or not np.iterable(answer):
            return f"a list is wanted, this is {type(answer).__name__}."
        right = {str(each) for each in answer} == key
    elif isinstance(key, str | tuple):  # of a tuple every name is right
        if not isinstance(answer, str):
            return f"a name is wanted, this is {type(answer).__name__}."
        names = (key,) if isinstance(key, str) else key
        right = answer.strip().lower() in {name.lower() for name in names}
    else:
        if not isinstance(answer, Real):
            return f"a number is wanted, this is {type(answer).__name__}."
        slack = 0.0 if isinstance(key, int) else _ABSOLUTE
        right = math.isclose(answer, key, rel_tol=_RELATIVE if slack else 0.0, abs_tol=slack)
    return "right." if right else "not yet. Read the question again and look at the tables above."
