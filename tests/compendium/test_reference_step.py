"""The engine against a plain step: the same losses, step by step."""

import pytest
import torch

from compendium.bench.reference_cut import ReferenceCut, plain_cut
from compendium.bench.reference_step import ReferenceStep, plain_networks
from engine.checkpoints import Checkpoints
from lib.models.cut import train_cut
from lib.models.cut_parameters import CutParameters
from lib.models.texture import gradient_consistency
from lib.models.translation import Batches, train_translator
from lib.studies.embryo import EmbryoParameters

STEPS = 20


@pytest.mark.parametrize("style", [dict(upsampling="resize", padding="reflect"),
                                   dict(upsampling="transposed", padding="zeros")])  # fmt: skip
@pytest.mark.parametrize("identity", [0.0, 1.0])
def test_twenty_steps_are_those_of_the_plain_training(style, identity):
    """In double precision, where rounding stays small: see test_ranks."""
    params = EmbryoParameters(
        image_size=32, base_filters=4, blocks=1, translator_batch=2, pool_size=0, threads=1,
        device="cpu", precision="64-true", identity_weight=identity, texture_rule="linear",
        texture_weight=0.5, texture_final_weight=0.1, rate_decay_start=1.0, **style,
    )  # fmt: skip
    draw = torch.Generator().manual_seed(5)
    target, source = (
        torch.randint(0, 256, (n, 1, 32, 32), generator=draw, dtype=torch.uint8) for n in (7, 9)
    )
    _, history = train_translator(
        target, source, gradient_consistency, params, STEPS, 3, Checkpoints()
    )
    step = ReferenceStep(plain_networks(params, 3).double(), gradient_consistency, params)
    order = torch.Generator().manual_seed(3)
    batches = [Batches(stack, 2, True, order, slice(0, 2)) for stack in (target, source)]
    for row in history.itertuples():
        images = [batch.draw().double() for batch in batches]
        for name, value in step(*images, row.texture_weight).items():
            assert getattr(row, name) == pytest.approx(value, abs=1e-8), (row.step, name)


@pytest.mark.parametrize("fast", [False, True], ids=["CUT", "FastCUT"])
def test_steps_of_cut_are_those_of_the_plain_training(fast):
    params = CutParameters(
        base_filters=4, blocks=2, translator_batch=2, threads=1, device="cpu",
        precision="64-true", rate_decay_start=1.0,
    )  # fmt: skip
    draw = torch.Generator().manual_seed(5)
    stacks = [
        torch.randint(0, 256, (n, 1, 32, 32), generator=draw, dtype=torch.uint8) for n in (7, 9)
    ]
    _, history = train_cut(*stacks, params, 8, 3, fast)
    order = torch.Generator().manual_seed(3)
    step = ReferenceCut(plain_cut(params, 3).double(), params, fast, order)
    batches = [Batches(stack, 2, True, order, slice(0, 2)) for stack in stacks]
    for row in history.itertuples():
        images = [batch.draw().double() for batch in batches]
        mirrored = fast and bool(torch.rand((), generator=order) < 0.5)
        for name, value in step(*images, mirrored).items():
            assert getattr(row, name) == pytest.approx(value, abs=1e-8), (row.step, name)
