import numpy as np
import pytest
import torch
from PIL import Image
from skimage.exposure import match_histograms

from engine.errors import InputError
from lib.evaluation.controls import fourier_adapt, grey, histogram_match


def random_stack(count, channels, size=24, seed=0, low=0, high=256):
    shape = (count, channels, size, size)
    return torch.from_numpy(np.random.default_rng(seed).integers(low, high, shape, dtype=np.uint8))


def test_grey_is_the_luma_of_pillow():
    stack = random_stack(3, 3)
    for image, luma in zip(stack, grey(stack), strict=True):
        expected = Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L")
        np.testing.assert_array_equal(luma[0].numpy(), np.asarray(expected))


def test_grey_leaves_one_channel_alone():
    stack = random_stack(2, 1)
    assert torch.equal(grey(stack), stack)


def test_histogram_match_agrees_with_scikit_image():
    stack = random_stack(4, 3, low=90, high=140)
    reference = random_stack(70, 3, seed=1, low=20, high=220)  # more than one batch
    matched = histogram_match(stack, reference)
    for channel in range(3):
        # All reference images side by side have the mean histogram of the domain.
        everything = reference[:, channel].reshape(-1, reference.shape[3]).numpy()
        for image, ours in zip(stack[:, channel], matched[:, channel], strict=True):
            expected = match_histograms(image.numpy(), everything)
            # Rounding is all that may differ.
            assert np.abs(ours.numpy() - expected).max() <= 0.5 + 1e-6


def test_histogram_match_keeps_an_image_that_is_the_reference():
    stack = random_stack(1, 1)
    assert torch.equal(histogram_match(stack, stack), stack)


def plain_fourier_adapt(image, references, beta):
    """One grey image, with shifted spectra, as the paper words it."""
    amplitude = np.mean([np.abs(np.fft.fftshift(np.fft.fft2(r))) for r in references], axis=0)
    spectrum = np.fft.fftshift(np.fft.fft2(image))
    height, width = image.shape
    half = int(np.floor(beta * min(height, width)))
    y, x = height // 2, width // 2
    mixed = np.abs(spectrum)
    window = (slice(y - half, y + half + 1), slice(x - half, x + half + 1))
    mixed[window] = amplitude[window]
    out = np.fft.ifft2(np.fft.ifftshift(mixed * np.exp(1j * np.angle(spectrum)))).real
    return np.clip(np.round(out), 0, 255)


@pytest.mark.parametrize("beta", [0.01, 0.1, 0.3])
def test_fourier_adapt_agrees_with_a_plain_version(beta):
    stack = random_stack(3, 2, low=60, high=120)[:, :, :20, :]
    reference = random_stack(66, 2, seed=1, low=100, high=200)[:, :, :20, :]
    adapted = fourier_adapt(stack, reference, beta)
    for i in range(3):
        for channel in range(2):
            expected = plain_fourier_adapt(
                stack[i, channel].numpy(), reference[:, channel].numpy().astype(float), beta
            )
            # Halves may be rounded either way in single precision.
            assert np.abs(adapted[i, channel].numpy() - expected).max() <= 1
            assert np.mean(adapted[i, channel].numpy() != expected) < 0.01


def test_fourier_adapt_keeps_an_image_that_is_the_reference():
    stack = random_stack(1, 1)
    assert torch.equal(fourier_adapt(stack, stack, 0.2), stack)


@pytest.mark.parametrize("control", [histogram_match, lambda a, b: fourier_adapt(a, b, 0.1)])
def test_other_number_of_channels_is_refused(control):
    with pytest.raises(InputError, match=r"3 channel.* 1"):
        control(random_stack(2, 3), random_stack(2, 1))


def test_fourier_adapt_refuses_another_size():
    with pytest.raises(InputError, match=r"24x24.*16x16"):
        fourier_adapt(random_stack(2, 1), random_stack(2, 1, size=16), 0.1)
