"""The CycleGAN's networks and losses, against plain versions."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from engine.fabric import has_library_convolutions
from lib.models.cyclegan import (
    ClosingConvolution,
    CycleGAN,
    Generator,
    ImagePool,
    InstanceNorm,
    OpeningConvolution,
    PatchDiscriminator,
    ResizeConvolution,
    adversarial_loss,
    cycle_loss,
    discriminator_loss,
    identity_loss,
)
from lib.studies.embryo import EmbryoParameters

SMALL = dict(base_filters=4, blocks=1)


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_seed_generator_has_the_published_layers():
    p = EmbryoParameters(preset="seed")
    generator = Generator(1, p.base_filters, p.blocks, p.padding, p.upsampling)
    k = 64
    expected = (1 * k * 49 + k) + (k * 2 * k * 9 + 2 * k) + (2 * k * 4 * k * 9 + 4 * k)
    expected += 9 * 2 * (4 * k * 4 * k * 9 + 4 * k)
    expected += (4 * k * 2 * k * 9 + 2 * k) + (2 * k * k * 9 + k) + (k * 49 + 1)
    assert count(generator) == expected
    convolutions = [m for m in generator.modules() if isinstance(m, nn.Conv2d)]
    assert {m.padding_mode for m in convolutions} == {"zeros"}
    assert not any(m.affine for m in generator.modules() if isinstance(m, nn.GroupNorm))
    transposed = [m for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert len(transposed) == 2


def test_seed_discriminator_has_the_published_widths_and_field():
    judge = PatchDiscriminator(1, 64)
    convolutions = [m for m in judge.modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [64, 128, 256, 512, 1]
    assert {m.kernel_size for m in convolutions} == {(4, 4)}
    field = 1
    for m in reversed(convolutions):
        field = field * m.stride[0] + m.kernel_size[0] - m.stride[0]
    assert field == 70
    assert judge(torch.zeros(1, 1, 256, 256)).shape == (1, 1, 30, 30)


def test_seed_preset_trains_as_published():
    p = EmbryoParameters(preset="seed")
    assert (p.translator_batch, p.translator_rate, p.pool_size) == (1, 2e-4, 0)
    assert (p.adversarial_weight, p.cycle_weight, p.identity_weight) == (1.0, 1.0, 1.0)
    assert (p.texture_loss, p.texture_rule) == ("efficientnet", "linear")
    assert (p.texture_weight, p.texture_final_weight) == (1.0, 0.1)
    assert p.rate_decay_start == 1.0


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
def test_generator_keeps_shape_and_range(padding, upsampling):
    generator = Generator(1, 4, 1, padding, upsampling)
    out = generator(5 * torch.randn(2, 1, 20, 32))
    assert out.shape == (2, 1, 20, 32)
    assert out.abs().max() <= 1.0


def test_resize_upsampling_prints_no_checkerboard():
    """On flat input the output of every 4x4 block's pixels is alike inside, unlike transposed."""
    torch.manual_seed(0)

    def unevenness(upsampling: str) -> float:
        generator = Generator(1, 8, 1, "reflect", upsampling)
        # Instance norm of a flat map is 0; without it the upsampling itself is seen.
        for name, module in list(generator.body.named_children()):
            if isinstance(module, nn.GroupNorm):
                setattr(generator.body, name, nn.Identity())
        for module in generator.modules():
            if isinstance(module, nn.GroupNorm):
                module.forward = lambda x: x
        inner = generator(torch.full((1, 1, 64, 64), 0.5))[0, 0, 24:40, 24:40]
        return float(inner.detach().std())

    assert unevenness("resize") < 1e-6
    assert unevenness("transposed") > 1e-5


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_resize_convolution_is_resize_then_convolution(padding):
    torch.manual_seed(0)
    fast = ResizeConvolution(6, 4, 3, padding=1, padding_mode=padding).double()
    plain = nn.Conv2d(6, 4, 3, padding=1, padding_mode=padding).double()
    plain.load_state_dict(fast.state_dict())
    x = torch.randn(2, 6, 5, 7, dtype=torch.float64)
    expected = plain(F.interpolate(x, scale_factor=2, mode="nearest"))
    torch.testing.assert_close(fast(x), expected)


def test_batched_passes_equal_separate_ones():
    torch.manual_seed(0)
    networks = CycleGAN(EmbryoParameters(**SMALL)).double()
    real, native = torch.rand(2, 1, 16, 16).double(), torch.rand(2, 1, 16, 16).double()
    to_source, to_target = networks.directions
    for direction, there, back, judge in (
        (to_source, networks.to_source, networks.to_target, networks.judge_source),
        (to_target, networks.to_target, networks.to_source, networks.judge_target),
    ):
        images = direction.translate(real, native)
        torch.testing.assert_close(images["fake"], there(real))
        torch.testing.assert_close(images["same"], there(native))
        torch.testing.assert_close(images["cycled"], back(there(real)))
        assert direction.judge is judge


def test_losses_against_plain_arithmetic():
    scores = torch.tensor([[0.0, 2.0]])
    assert adversarial_loss(scores, True).item() == pytest.approx((1 + 1) / 2)
    assert adversarial_loss(scores, False).item() == pytest.approx((0 + 4) / 2)
    real = torch.zeros(1, 1, 2, 2)
    assert cycle_loss(real - 0.25, real).item() == pytest.approx(0.25)
    assert identity_loss(real + 0.1, real).item() == pytest.approx(0.1)
    judge = nn.Identity()
    loss = discriminator_loss(judge, torch.full((1,), 0.5), torch.full((1,), 0.5))
    assert loss.item() == pytest.approx(0.5 * (0.25 + 0.25))


def test_pool_of_size_zero_hands_through():
    images = torch.rand(3, 1, 4, 4)
    assert ImagePool(0, torch.Generator()).exchange(images) is images


def test_pool_fills_then_swaps_about_half():
    pool = ImagePool(10, torch.Generator().manual_seed(0))
    for value in range(10):
        image = torch.full((1, 1, 1, 1), float(value))
        assert torch.equal(pool.exchange(image), image)
    fresh = [float(pool.exchange(torch.full((1, 1, 1, 1), 100.0 + i))) for i in range(400)]
    old = sum(value != 100.0 + i for i, value in enumerate(fresh))
    assert 160 < old < 240
    assert len(pool.images) == 10


def test_weights_start_from_the_published_spread():
    torch.manual_seed(0)
    networks = CycleGAN(EmbryoParameters(base_filters=16, blocks=2))
    convolutions = [m for m in networks.modules() if isinstance(m, nn.Conv2d)]
    weights = torch.cat([m.weight.flatten() for m in convolutions])
    assert weights.std().item() == pytest.approx(0.02, rel=0.02)
    assert F.l1_loss(weights.mean(), torch.zeros(())).item() < 1e-3


@pytest.mark.parametrize("padding", ["reflect", "zeros"])
@pytest.mark.parametrize(
    ("layer", "inputs", "outputs", "size", "stride", "edge"),
    [
        (OpeningConvolution, 1, 16, 7, 1, 3),
        (OpeningConvolution, 3, 5, 4, 2, 1),
        (ClosingConvolution, 16, 1, 7, 1, 3),
        (ClosingConvolution, 5, 3, 4, 1, 1),
    ],
)
def test_convolutions_by_columns_are_the_plain_ones(
    layer, inputs, outputs, size, stride, edge, padding
):
    torch.manual_seed(0)
    shape = dict(stride=stride, padding=edge, padding_mode=padding, dtype=torch.double)
    plain = nn.Conv2d(inputs, outputs, size, **shape)
    columns = layer(inputs, outputs, size, **shape)
    columns.load_state_dict(plain.state_dict())
    a = torch.randn(2, inputs, 24, 17, dtype=torch.double, requires_grad=True)
    b = a.detach().clone().requires_grad_()
    torch.testing.assert_close(columns(a), plain(b))
    columns(a).square().sum().backward()
    plain(b).square().sum().backward()
    torch.testing.assert_close(a.grad, b.grad)
    torch.testing.assert_close(columns.weight.grad, plain.weight.grad)
    torch.testing.assert_close(columns.bias.grad, plain.bias.grad)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("count", [1, 3])
def test_instance_norm_is_the_plain_one_in_either_layout(layout, count):
    torch.manual_seed(0)
    a = torch.randn(count, 4, 6, 5, dtype=torch.double).to(memory_format=layout).requires_grad_()
    b = a.detach().clone().requires_grad_()
    ours, plain = InstanceNorm(4)(a), nn.InstanceNorm2d(4)(b)
    assert ours.is_contiguous(memory_format=layout)
    torch.testing.assert_close(ours, plain)
    ours.pow(3).sum().backward()
    plain.pow(3).sum().backward()
    torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
def test_bfloat16_on_a_cpu_has_its_fastest_layout_and_computes_the_same(upsampling):
    torch.manual_seed(0)
    generator = Generator(1, 8, 1, "zeros", upsampling)
    seen = []
    for norm in (m for m in generator.modules() if isinstance(m, InstanceNorm)):
        norm.register_forward_hook(lambda _, given, out: seen.append((given[0], out)))
    x = torch.rand(2, 1, 32, 32) * 2 - 1
    with torch.no_grad():
        exact, layers = generator(x), len(seen)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = generator(x)
    last = [all(y.is_contiguous(memory_format=torch.channels_last) for y in pair) for pair in seen]
    fast = has_library_convolutions(x.device, torch.bfloat16)
    assert last == [False] * layers + [fast] * layers
    # The plain convolution rounds more often: its sums are bfloat16, too.
    torch.testing.assert_close(rounded.float(), exact, atol=0.03 if fast else 0.04, rtol=0)
    assert exact.std() > 0.05  # or any image would be as near


def test_without_identity_the_other_images_are_the_same():
    networks = CycleGAN(EmbryoParameters(base_filters=4, blocks=1)).eval()
    real, native = torch.rand(2, 2, 1, 16, 16) * 2 - 1
    way = networks.directions[0]
    every, fewer = (way.translate(real, given) for given in (native, None))
    assert set(every) - set(fewer) == {"same"}
    for name, image in fewer.items():
        torch.testing.assert_close(image, every[name], atol=1e-5, rtol=1e-5)
