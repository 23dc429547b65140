"""Decoding, grey, fitting and stacks."""

import contextlib
import io
import struct
import zlib

import imagecodecs
import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from engine.errors import InputError
from lib.data.images import decode, fit, load_stack, to_grey, to_rgb
from lib.data.reading import read_stored
from lib.data.stored import to_8_bit

FAST = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


def _scene(height=40, width=60) -> np.ndarray:
    """Smooth RGB test image in which every channel differs."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 4, y * 6, 255 - x * 2 - y], -1).astype(np.uint8)


def decode_bytes(content: bytes, name: str):
    """The picture and its mode."""
    stored = read_stored(content, name)
    return to_8_bit(stored, None, name), stored.mode


def _encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("shape", [(17, 23), (17, 23, 3)])
@FAST
@given(data=st.data())
def test_lossless_formats_return_the_pixels_that_were_saved(kind, shape, data):
    pixels = data.draw(arrays(np.uint8, shape))
    assert np.array_equal(decode_bytes(_encoded(Image.fromarray(pixels), kind), "x")[0], pixels)


def test_jpeg_is_close_and_keeps_grey_and_colour_apart():
    scene = _scene()
    colour = decode_bytes(_encoded(Image.fromarray(scene), "JPEG", quality=95), "x")[0]
    assert colour.shape == scene.shape
    assert np.abs(colour.astype(int) - scene).mean() < 3
    grey = Image.fromarray(scene[..., 0])
    assert decode_bytes(_encoded(grey, "JPEG", quality=95), "x")[0].shape == scene.shape[:2]


def test_transparency_is_laid_on_white():
    scene = _scene()
    alpha = np.full(scene.shape[:2], 128, np.uint8)
    alpha[:, :30] = 0
    content = _encoded(Image.fromarray(np.dstack([scene, alpha])), "PNG")
    expected = scene * (alpha[..., None] / 255) + 255 * (1 - alpha[..., None] / 255)
    assert np.abs(decode_bytes(content, "x")[0] - expected).max() <= 0.51
    grey = Image.merge("LA", [Image.fromarray(scene[..., 0]), Image.fromarray(alpha)])
    decoded = decode_bytes(_encoded(grey, "PNG"), "x")[0]
    assert (decoded[:, :30] == 255).all()


def test_palette_shows_its_colours_and_its_transparent_entry_white():
    index = np.repeat([[0, 1, 2]], 5, axis=0).astype(np.uint8)
    image = Image.fromarray(index).convert("P")
    image.putpalette([10, 20, 30, 200, 0, 0, 0, 0, 250])
    decoded, mode = decode_bytes(_encoded(image, "PNG"), "x")
    assert mode == "P"
    assert decoded[0].tolist() == [[10, 20, 30], [200, 0, 0], [0, 0, 250]]
    transparent = decode_bytes(_encoded(image, "PNG", transparency=1), "x")[0]
    assert transparent[0].tolist() == [[10, 20, 30], [255, 255, 255], [0, 0, 250]]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(kind):
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    decoded, mode = decode_bytes(_encoded(cyan, kind), "x")
    assert mode == "CMYK"
    assert np.abs(decoded[8, 8].astype(int) - [0, 255, 255]).max() <= 3


def test_one_bit_is_black_and_white():
    bits = np.eye(9, dtype=bool)
    for kind in ("PNG", "TIFF"):
        decoded = decode_bytes(_encoded(Image.fromarray(bits), kind), "x")[0]
        assert np.array_equal(decoded, bits * 255)


@pytest.mark.parametrize(
    ("top", "depth"), [(200, 8), (1000, 10), (4095, 12), (9000, 14), (65535, 16)]
)
def test_sixteen_bit_is_scaled_by_the_depth_its_maximum_needs(top, depth):
    deep = np.linspace(0, top, 32 * 32).reshape(32, 32).astype(np.uint16)
    expected = deep * 255.0 / (2**depth - 1)
    for kind in ("PNG", "TIFF"):
        decoded = decode_bytes(_encoded(Image.fromarray(deep), kind), "x")[0]
        assert decoded.dtype == np.uint8
        assert np.abs(decoded - expected).max() <= 0.51


def test_sixteen_bit_colour_is_scaled_as_grey_is():
    deep = _scene().astype(np.uint16) * 16  # 12 bits
    tiff = io.BytesIO()
    tifffile.imwrite(tiff, deep, photometric="rgb")
    planes = io.BytesIO()
    tifffile.imwrite(planes, np.moveaxis(deep, -1, 0), photometric="rgb", planarconfig="separate")
    png = imagecodecs.png_encode(deep)
    for content in (tiff.getvalue(), planes.getvalue(), png):
        decoded, mode = decode_bytes(content, "x")
        assert mode == "RGB;16"
        assert np.abs(decoded - deep * 255.0 / 4095).max() <= 0.51


def test_orientation_noted_by_a_phone_is_applied():
    scene = _scene()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    content = _encoded(Image.fromarray(scene), "PNG", exif=exif)
    assert np.array_equal(decode_bytes(content, "x")[0], np.rot90(scene, -1))


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([-0.5, 0.7], "signed numbers from -0.5 to 0.7"),
        ([0.5, 700.5], "from 0.5 to 700.5, neither of 0 to 1 nor whole"),
        ([0.5, np.nan], "infinite or missing"),
    ],
)
def test_floats_without_a_scale_are_refused(numbers, words):
    tiff = io.BytesIO()
    tifffile.imwrite(tiff, np.tile(np.float32(numbers), (8, 8)))
    with pytest.raises(InputError, match=words):
        decode_bytes(tiff.getvalue(), "x.tif")


def test_slide_scanner_and_sixteen_bit_files(shared_data):
    slide = decode(shared_data / "histology_he_ki67_scanners/images/OS-1-detail.ome.tif")
    assert slide.shape == (1101, 1101, 3)
    assert np.allclose(slide.mean((0, 1)), [144, 124, 180], atol=2)
    field = decode(shared_data / "labelfree_brightfield_3d/images/spheroid_E11.tif")
    assert field.shape == (1024, 1024)
    assert abs(np.median(field) - 42416 / 257) <= 1


# --- bad files -----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
def test_unusable_files_are_named(tmp_path, suffix):
    kind = {"png": "PNG", "jpg": "JPEG", "bmp": "BMP", "tif": "TIFF"}[suffix]
    whole = _encoded(Image.fromarray(_scene()), kind)
    for name, content in {"empty": b"", "cut": whole[: len(whole) // 2], "text": b"hello"}.items():
        path = tmp_path / f"{name}.{suffix}"
        path.write_bytes(content)
        with pytest.raises(InputError, match=path.name):
            decode(path)
    with pytest.raises(InputError, match="no such file"):
        decode(tmp_path / f"absent.{suffix}")


def test_image_bomb_is_refused_before_it_is_decoded(tmp_path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    for side in (9000, 50_000):
        header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        path = tmp_path / "bomb.png"
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(bytes(1000)))
            + chunk(b"IEND", b"")
        )
        with pytest.raises(InputError, match=r"bomb\.png: .*more than \d+ pixels\. Reduce it"):
            decode(path)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF"])
@FAST
@given(data=st.data())
def test_damaged_files_give_an_image_or_an_input_error(kind, data):
    content = bytearray(_encoded(Image.fromarray(_scene(20, 30)), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = bytes(content[: data.draw(st.integers(1, len(content)))])
    with contextlib.suppress(InputError):
        image, _ = decode_bytes(content, "damaged")
        assert image.dtype == np.uint8
        assert image.ndim == 2 or image.shape[2] == 3


# --- grey and size -------------------------------------------------------------------------


@FAST
@given(arrays(np.uint8, (9, 7, 3)))
def test_grey_is_luma(image):
    luma = image @ np.array([0.299, 0.587, 0.114])
    assert np.abs(to_grey(image) - luma).max() <= 1
    assert np.array_equal(to_grey(to_grey(image)), to_grey(image))
    assert np.array_equal(to_grey(to_rgb(to_grey(image))), to_grey(image))


def _disc(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(x - (width - 1) / 2, y - (height - 1) / 2)
    return (np.clip(min(height, width) / 3 - distance + 0.5, 0, 1) * 255).astype(np.uint8)


def _spread(image: np.ndarray) -> tuple[float, float]:
    """Standard deviation of the brightness along x and y."""
    weight = image.astype(float) / image.sum()
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    deviations = []
    for axis in (x, y):
        centre = (weight * axis).sum()
        deviations.append(np.sqrt((weight * (axis - centre) ** 2).sum()))
    return tuple(deviations)


@pytest.mark.parametrize("how", ["pad", "crop"])
@FAST
@given(height=st.integers(60, 300), width=st.integers(60, 300), size=st.sampled_from([48, 64, 127]))
def test_a_circle_stays_a_circle(how, height, width, size):
    fitted = fit(_disc(height, width), size, how)
    assert fitted.shape == (size, size)
    along_x, along_y = _spread(fitted)
    assert along_x == pytest.approx(along_y, rel=0.04)
    whole = size / (max if how == "pad" else min)(height, width)
    assert along_x == pytest.approx(_spread(_disc(height, width))[0] * whole, rel=0.05, abs=0.15)


@pytest.mark.parametrize("how", ["pad", "crop"])
@FAST
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    size=st.integers(1, 70),
    colour=st.tuples(*[st.integers(0, 255)] * 3),
)
def test_a_plain_image_stays_plain_at_any_size(how, height, width, size, colour):
    plain = np.full((height, width, 3), colour, np.uint8)
    fitted = fit(plain, size, how)
    assert fitted.shape == (size, size, 3)
    assert (fitted == colour).all()


def test_reduction_does_not_alias():
    stripes = np.zeros((256, 256), np.uint8)
    stripes[:, ::2] = 255
    assert fit(stripes, 32, "pad").std() < 3


# --- stacks --------------------------------------------------------------------------------


class Pictures:
    """Images by id, for `load_stack`."""

    def __init__(self, images):
        self.images = images

    def read_many(self, ids):
        return [self.images[id] for id in ids]


def test_stack_keeps_order_and_crops_only_what_was_found():
    bright = np.zeros((100, 140), np.uint8)
    bright[30:70, 90:130] = 200
    source = Pictures({"a": bright, "b": _scene(50, 50)})
    frames = pd.DataFrame(
        {"id": ["a", "b"], "x": 109.5, "y": 49.5, "radius": 15.0, "found": [True, False]}
    )
    stack = load_stack(source, ["b", "a"], 32, "grey", "pad", frames, field_of_view=1.0)
    assert stack.shape == (2, 1, 32, 32)
    assert stack.dtype == torch.uint8
    assert (stack[1] == 200).all()
    assert np.array_equal(stack[0, 0].numpy(), fit(to_grey(_scene(50, 50)), 32, "pad"))
    colour = load_stack(source, ["b"], 32, "rgb", "pad")
    assert np.array_equal(colour[0].permute(1, 2, 0).numpy(), fit(_scene(50, 50), 32, "pad"))


def test_stack_beyond_the_budget_is_mapped_to_a_file(tmp_path):
    source = Pictures({str(n): _scene(30 + n, 40) for n in range(30)})
    ids = list(source.images)
    here = load_stack(source, ids, 128, "rgb", "crop")
    with pytest.raises(InputError, match="memory_mb"):
        load_stack(source, ids, 128, "rgb", "crop", budget_mb=1)
    mapped = load_stack(source, ids, 128, "rgb", "crop", folder=tmp_path, budget_mb=1)
    assert torch.equal(here, mapped)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_size == here.numel()
