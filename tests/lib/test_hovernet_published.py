"""The HoVer-Net of its authors, and the weights that they give away."""

import pytest
import torch
import torch.nn.functional as F

from engine.errors import InputError
from lib.models.hovernet_published import PublishedHoVerNet, load_published

UM_PER_PX = 0.75
KERNELS = {"original": 5, "fast": 3}


def batch_norm(name, width):
    return {
        f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")
    }


def published_shapes(kernel, branches):
    """Names and shapes of the tensors of a checkpoint as it is given away, written down by hand.

    After the authors' list of variables for the conversion from TensorFlow; ``branches`` are names
    of decoders with the numbers of their outputs.
    """
    shapes = {"conv0./.weight": (64, 3, 7, 7), **batch_norm("conv0.bn", 64)}
    for block, inputs, width, outputs, units in (
        ("d0", 64, 64, 256, 3),
        ("d1", 256, 128, 512, 4),
        ("d2", 512, 256, 1024, 6),
        ("d3", 1024, 512, 2048, 3),
    ):
        for unit in range(units):
            name = f"{block}.units.{unit}"
            if unit:
                shapes |= batch_norm(f"{name}.preact/bn", outputs)
            shapes[f"{name}.conv1.weight"] = (width, outputs if unit else inputs, 1, 1)
            shapes |= batch_norm(f"{name}.conv1/bn", width)
            shapes[f"{name}.conv2.weight"] = (width, width, 3, 3)
            shapes |= batch_norm(f"{name}.conv2/bn", width)
            shapes[f"{name}.conv3.weight"] = (outputs, width, 1, 1)
        shapes[f"{block}.shortcut.weight"] = (outputs, inputs, 1, 1)
        shapes |= batch_norm(f"{block}.blk_bna.bn", outputs)
    shapes["conv_bot.weight"] = (1024, 2048, 1, 1)
    for branch, numbers in branches.items():
        for step, inputs, outputs, units in (("u3", 1024, 256, 8), ("u2", 512, 128, 4)):
            name = f"decoder.{branch}.{step}"
            shapes[f"{name}.conva.weight"] = (outputs, inputs, kernel, kernel)
            for unit in range(units):
                dense = f"{name}.dense.units.{unit}"
                shapes |= batch_norm(f"{dense}.preact_bna/bn", outputs + 32 * unit)
                shapes[f"{dense}.conv1.weight"] = (128, outputs + 32 * unit, 1, 1)
                shapes |= batch_norm(f"{dense}.conv1/bn", 128)
                shapes[f"{dense}.conv2.weight"] = (32, 32, kernel, kernel)
            shapes |= batch_norm(f"{name}.dense.blk_bna.bn", 2 * outputs)
            shapes[f"{name}.convf.weight"] = (2 * outputs, 2 * outputs, 1, 1)
        shapes[f"decoder.{branch}.u1.conva.weight"] = (64, 256, kernel, kernel)
        shapes |= batch_norm(f"decoder.{branch}.u0.bn", 64)
        shapes[f"decoder.{branch}.u0.conv.weight"] = (numbers, 64, 1, 1)
        shapes[f"decoder.{branch}.u0.conv.bias"] = (numbers,)
    return shapes | {"upsample2x.unpool_mat": (2, 2)}


def numbered(shapes):
    """Tensors of one number each, another one for each, that take no room in a file."""
    return {
        name: torch.tensor(float(place)).expand(shape)
        for place, (name, shape) in enumerate(shapes.items(), 1)
    }


def write(path, weights, key="desc"):
    torch.save({key: weights}, path)
    return path


@pytest.mark.parametrize("mode", KERNELS)
@pytest.mark.parametrize(("kinds", "start"), [({}, ""), ({"tp": 5}, "module.")])
def test_a_checkpoint_of_the_authors_is_loaded_tensor_by_tensor(mode, kinds, start, tmp_path):
    shapes = published_shapes(KERNELS[mode], {**kinds, "np": 2, "hv": 2})
    given = numbered(shapes)
    path = write(tmp_path / "net.tar", {start + name: one for name, one in given.items()})
    network = load_published(path, UM_PER_PX)
    assert (network.mode, network.um_per_px, network.training) == (mode, UM_PER_PX, False)
    loaded = network.state_dict()
    wanted = {n for n in shapes if not n.startswith(("decoder.tp", "upsample"))}
    assert {name for name in loaded if not name.endswith("num_batches_tracked")} == wanted
    for name in wanted:
        assert loaded[name].shape == shapes[name]
        assert torch.equal(loaded[name], given[name])


def test_the_authors_own_training_keeps_counters_too(tmp_path):
    given = numbered(published_shapes(3, {"np": 2, "hv": 2}))
    counters = {
        name.replace("running_var", "num_batches_tracked"): torch.tensor(7)
        for name in given
        if name.endswith("running_var")
    }
    network = load_published(write(tmp_path / "net.tar", given | counters), 0.25)
    assert network.state_dict()["d1.blk_bna.bn.num_batches_tracked"] == 7


def test_what_is_no_such_checkpoint_is_refused_with_a_remedy(tmp_path):
    shapes = published_shapes(5, {"np": 2, "hv": 2})
    given = numbered(shapes)
    path = tmp_path / "net.tar"

    def refused(match, weights=None, key="desc"):
        if weights is not None:
            write(path, weights, key)
        with pytest.raises(InputError, match=match) as error:
            load_published(path, UM_PER_PX)
        assert str(path) in str(error.value)
        assert "Give the path" in str(error.value)

    refused("cannot be read")
    path.write_bytes(b"no weights")
    refused("cannot be read")
    refused("under the key 'desc'", given, key="state_dict")
    refused("under the key 'desc'", {"conv0": "text"})
    less = {name: one for name, one in given.items() if name != "d2.shortcut.weight"}
    refused(r"1 tensors differ, first d2.shortcut.weight, shape none, wanted \(1024, 512, 1", less)
    refused(r"first decoder.xx, shape \(2,\), wanted none", given | {"decoder.xx": torch.ones(2)})
    other = given | {"decoder.hv.u0.conv.bias": torch.ones(3)}
    refused(r"mode 'original'.*conv.bias, shape \(3,\), wanted \(2,\)", other)
    mixed = given | {
        name: one
        for name, one in numbered(published_shapes(3, {"np": 2})).items()
        if "decoder" in name
    }
    refused(r"mode 'fast': .*first decoder.hv", mixed)


@pytest.mark.parametrize(("mode", "side", "left"), [("original", 270, 80), ("fast", 256, 164)])
def test_published_sides(mode, side, left):
    with torch.device("meta"):
        found = PublishedHoVerNet(mode).branches(torch.zeros(1, 3, side, side))
    assert {name: tuple(one.shape) for name, one in found.items()} == {
        "np": (1, 2, left, left), "hv": (1, 2, left, left),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "size", "um_per_px"), [("original", (64, 61), 0.75), ("fast", (5, 33), 0.5)]
)
def test_no_margin_of_an_image_is_lost_at_any_scale(mode, size, um_per_px):
    with torch.device("meta"):
        logits, offsets = PublishedHoVerNet(mode, um_per_px)(torch.zeros(2, 3, *size))
    assert logits.shape == (2, 1, *size)
    assert offsets.shape == (2, 2, *size)


def plain_branch(weights, images, branch):
    """The fast network computed from its tensors by name, on images in [0, 1]."""

    def conv(x, name, **how):
        return F.conv2d(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"), **how)

    def active(x, name):
        parts = (weights[f"{name}.{p}"][:, None, None]
                 for p in ("running_mean", "running_var", "weight", "bias"))  # fmt: skip
        mean, variance, scale, shift = parts
        return ((x - mean) / (variance + 1e-5).sqrt() * scale + shift).clamp_min(0)

    def centre(x, side):
        away = (x.shape[2] - side) // 2
        return x[:, :, away : away + side, away : away + side]

    x = active(conv(images, "conv0./", padding=3), "conv0.bn")
    maps = []
    for block, units, stride in (("d0", 3, 1), ("d1", 4, 2), ("d2", 6, 2), ("d3", 3, 2)):
        short = conv(x, f"{block}.shortcut", stride=stride)
        for unit in range(units):
            name, step = f"{block}.units.{unit}", 1 if unit else stride
            new = active(x, f"{name}.preact/bn") if unit else x
            new = active(conv(new, f"{name}.conv1"), f"{name}.conv1/bn")
            # An even side halved: nothing before, one row and column after.
            new = F.pad(new, [1, 1, 1, 1] if step == 1 else [0, 1, 0, 1])
            new = active(conv(new, f"{name}.conv2", stride=step), f"{name}.conv2/bn")
            x = short = conv(new, f"{name}.conv3") + short
        x = active(x, f"{block}.blk_bna.bn")
        maps.append(x)
    x = conv(maps[3], "conv_bot")
    for step, across, units in (("u3", maps[2], 8), ("u2", maps[1], 4)):
        name = f"decoder.{branch}.{step}"
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        x = conv(x + centre(across, x.shape[2]), f"{name}.conva")
        for unit in range(units):
            dense = f"{name}.dense.units.{unit}"
            new = active(conv(active(x, f"{dense}.preact_bna/bn"), f"{dense}.conv1"),
                         f"{dense}.conv1/bn")  # fmt: skip
            new = conv(new, f"{dense}.conv2", groups=4)
            x = torch.cat([centre(x, new.shape[2]), new], 1)
        x = conv(active(x, f"{name}.dense.blk_bna.bn"), f"{name}.convf")
    x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    x = conv(x + centre(maps[0], x.shape[2]), f"decoder.{branch}.u1.conva", padding=1)
    return conv(active(x, f"decoder.{branch}.u0.bn"), f"decoder.{branch}.u0.conv")


@torch.inference_mode()
def test_published_network_computes_what_its_tensors_say(tmp_path):
    rng = torch.Generator().manual_seed(0)
    weights = {}
    for name, shape in published_shapes(3, {"np": 2, "hv": 2}).items():
        drawn = torch.randn(shape, generator=rng)
        if name.endswith("running_var"):
            drawn = 0.5 + drawn.abs()
        elif len(shape) == 4:
            drawn /= (drawn[0].numel()) ** 0.5  # keeps numbers of the size of one
        weights[name] = drawn
    network = load_published(write(tmp_path / "net.tar", weights), 0.25)
    image = torch.rand(1, 3, 12, 12, generator=rng) * 2 - 1
    logits, offsets = network(image)
    # A margin of 46 px, mirrored about the outermost pixels, again and again.
    places = [abs((place + 11) % 22 - 11) for place in range(-46, 12 + 46)]
    wide = ((image + 1) / 2)[:, :, places][..., places]
    pixels = plain_branch(weights, wide, "np")
    torch.testing.assert_close(logits, pixels[:, 1:] - pixels[:, :1], rtol=1e-3, atol=1e-3)
    expected = plain_branch(weights, wide, "hv")
    assert expected.std() > 0.1
    torch.testing.assert_close(offsets, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("mode", "margin"), [("original", 95), ("fast", 46)])
def test_maps_are_where_their_image_is_at_any_scale(mode, margin, monkeypatch):
    """With a network that gives back the colours it is shown, without the margin it loses."""

    def shown(images):
        middle = images[..., margin:-margin, margin:-margin]
        return {"np": torch.cat([0 * middle[:, :1], middle[:, :1]], 1), "hv": middle[:, 1:]}

    with torch.device("meta"):
        network = PublishedHoVerNet(mode)
    monkeypatch.setattr(network, "branches", shown)
    rows, columns = torch.meshgrid(
        torch.linspace(-1, 1, 30), torch.linspace(-1, 1, 21), indexing="ij"
    )
    image = torch.stack([rows * columns, rows, columns])[None]
    for um_per_px, most in ((0.25, 1e-5), (0.75, 0.01), (0.15, 0.03)):
        network.um_per_px = um_per_px
        found = torch.cat(network(image), 1)
        assert found.shape == image.shape
        away = (found - (image + 1) / 2).abs()[..., 2:-2, 2:-2]
        assert away.max() < most
