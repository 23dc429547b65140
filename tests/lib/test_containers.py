"""The same pixels in every container give the same array."""

import io

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from engine.errors import InputError
from lib.data.images import decode
from lib.data.stored import UNIT


def _scene() -> np.ndarray:
    """8-bit grey with a face of its own: no turn and no flip of it is the same."""
    y, x = np.mgrid[:48, :64]
    grey = 60 + 1.5 * x + 0.7 * y + 40 * (np.hypot(x - 40, y - 16) < 9)
    return np.rint(grey).astype(np.uint8)


GREY = _scene()
RGB = np.dstack([GREY, np.flipud(GREY), 255 - GREY])
TWELVE = np.rint(GREY * (4095 / 255)).astype(np.uint16)  # back at 8 bits it is the same
SIXTEEN = GREY.astype(np.uint16) * 257


def tiff(pixels, **options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **options)
    return stream.getvalue()


def pillow(pixels, kind, mode=None, **options):
    stream = io.BytesIO()
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(stream, kind, **options)
    return stream.getvalue()


def dicom(pixels, bits, kind="MONOCHROME2", **more):
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["containers"])
    data = FileDataset("x", {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID, data.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        data.PlanarConfiguration = 0
    data.PhotometricInterpretation = kind
    data.BitsAllocated = pixels.itemsize * 8
    data.BitsStored, data.HighBit, data.PixelRepresentation = bits, bits - 1, 0
    for name, value in more.items():
        setattr(data, name, value)
    data.PixelData = pixels.tobytes()
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, data, enforce_file_format=True)
    return stream.getvalue()


def stack(middle):
    """Seven planes, the one that is meant in the middle."""
    planes = np.zeros((7, *middle.shape), middle.dtype)
    planes[3] = middle
    return planes


WHITE = dict(photometric="miniswhite")
PLANES = dict(planarconfig="separate", photometric="rgb")
GREY_FILES = {
    "png": lambda: pillow(GREY, "PNG"),
    "png 16 bits": lambda: imagecodecs.png_encode(SIXTEEN),
    "png rgb of equal channels": lambda: pillow(np.dstack([GREY] * 3), "PNG"),
    "png opaque alpha": lambda: pillow(GREY, "PNG", "LA"),
    "bmp": lambda: pillow(GREY, "BMP"),
    "webp, lossless": lambda: pillow(GREY, "WEBP", "RGB", lossless=True),
    "jpeg 2000": lambda: pillow(GREY, "JPEG2000", irreversible=False),
    "tiff": lambda: tiff(GREY),
    "bigtiff": lambda: tiff(GREY, bigtiff=True),
    "tiff, big-endian 16 bits": lambda: tiff(SIXTEEN, byteorder=">"),
    "tiff, lzw": lambda: tiff(GREY, compression="lzw"),
    "tiff, deflate and predictor": lambda: tiff(GREY, compression="zlib", predictor=True),
    "tiff, packbits": lambda: tiff(GREY, compression="packbits"),
    "tiff, zstd": lambda: tiff(GREY, compression="zstd"),
    "tiff, jpeg 2000": lambda: tiff(GREY, compression="jpeg2000"),
    "tiff, jpeg xl": lambda: tiff(GREY, compression="jpegxl", compressionargs={"lossless": True}),
    "tiff, lerc": lambda: tiff(GREY, compression="lerc"),
    "tiff, webp": lambda: tiff(np.dstack([GREY] * 3), photometric="rgb", compression="webp",
                               compressionargs={"lossless": True}),
    "tiff, tiles": lambda: tiff(GREY, tile=(16, 16)),
    "tiff, strips": lambda: tiff(GREY, rowsperstrip=5),
    "tiff, zero is white": lambda: tiff(255 - GREY, **WHITE),
    "tiff, zero is white, 16 bits": lambda: tiff(65535 - SIXTEEN, **WHITE),
    "tiff, 12 bits declared": lambda: tiff(TWELVE, extratags=[(281, 3, 1, 4095, True)]),
    "tiff, floats of 0 to 1": lambda: tiff((GREY / 255).astype(np.float32)),
    "tiff, half floats": lambda: tiff((GREY / 255).astype(np.float16)),
    "tiff, double floats": lambda: tiff(GREY / 255),
    "tiff, whole floats": lambda: tiff(GREY.astype(np.float32)),
    "tiff, 32-bit integers": lambda: tiff(GREY.astype(np.uint32)),
    "tiff, signed 16 bits": lambda: tiff(TWELVE.astype(np.int16)),
    "tiff, turned": lambda: tiff(np.rot90(GREY), extratags=[(274, 3, 1, 6, True)]),
    "tiff, turned, 16 bits": lambda: tiff(np.rot90(SIXTEEN), extratags=[(274, 3, 1, 6, True)]),
    "tiff, a pyramid": lambda: _pyramid(),
    "imagej stack": lambda: tiff(stack(GREY), imagej=True, metadata={"axes": "ZYX"}),
    "ome stack": lambda: tiff(stack(GREY), ome=True, metadata={"axes": "ZYX"}),
    "ome, 12 significant bits": lambda: tiff(
        TWELVE, ome=True, metadata={"axes": "YX", "SignificantBits": 12}),
    "ome, jpeg 2000 tiles": lambda: tiff(
        GREY, ome=True, compression="jpeg2000", tile=(16, 16), metadata={"axes": "YX"}),
    "dicom": lambda: dicom(GREY, 8),
    "dicom, monochrome1": lambda: dicom(255 - GREY, 8, "MONOCHROME1"),
    "dicom, 12 bits": lambda: dicom(TWELVE, 12),
    "dicom, a window of all numbers": lambda: dicom(
        TWELVE, 12, WindowCenter=2048, WindowWidth=4096),
}  # fmt: skip
COLOUR_FILES = {
    "png": lambda: pillow(RGB, "PNG"),
    "png 16 bits": lambda: imagecodecs.png_encode(RGB.astype(np.uint16) * 257),
    "bmp": lambda: pillow(RGB, "BMP"),
    "webp, lossless": lambda: pillow(RGB, "WEBP", lossless=True),
    "tiff": lambda: tiff(RGB, photometric="rgb"),
    "tiff, planes": lambda: tiff(np.moveaxis(RGB, -1, 0), **PLANES),
    "tiff, planes, 16 bits": lambda: tiff(
        np.moveaxis(RGB, -1, 0).astype(np.uint16) * 257, **PLANES),
    "tiff, jpeg 2000": lambda: tiff(RGB, photometric="rgb", compression="jpeg2000"),
    "tiff, opaque alpha": lambda: tiff(
        np.dstack([RGB, np.full_like(GREY, 255)]), photometric="rgb", extrasamples=["unassalpha"]),
    "tiff, premultiplied opaque alpha": lambda: tiff(
        np.dstack([RGB, np.full_like(GREY, 255)]), photometric="rgb", extrasamples=["assocalpha"]),
    "tiff, an extra sample": lambda: tiff(
        np.dstack([RGB, GREY]), photometric="rgb", extrasamples=["unspecified"]),
    "dicom": lambda: dicom(RGB, 8, "RGB"),
}  # fmt: skip


def _pyramid():
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(GREY, subifds=1, tile=(16, 16))
        writer.write(GREY[::2, ::2], subfiletype=1, tile=(16, 16))
    return stream.getvalue()


@pytest.mark.parametrize("kind", GREY_FILES)
def test_grey_is_the_same_in_every_container(kind, tmp_path):
    path = tmp_path / "picture"
    path.write_bytes(GREY_FILES[kind]())
    picture = decode(path)
    assert np.array_equal(picture if picture.ndim == 2 else picture[..., 1], GREY)
    assert picture.ndim == 2 or (picture == picture[..., :1]).all()


@pytest.mark.parametrize("kind", COLOUR_FILES)
def test_colour_is_the_same_in_every_container(kind, tmp_path):
    path = tmp_path / "picture"
    path.write_bytes(COLOUR_FILES[kind]())
    assert np.array_equal(decode(path), RGB)


@pytest.mark.parametrize(("number", "turned"), [
    (1, lambda p: p), (2, np.fliplr), (3, lambda p: p[::-1, ::-1]), (4, np.flipud),
    (5, np.transpose), (6, lambda p: np.rot90(p, 1)), (7, lambda p: p[::-1, ::-1].T),
    (8, lambda p: np.rot90(p, -1)),
])  # fmt: skip
@pytest.mark.parametrize("deep", [False, True])
def test_every_orientation_is_applied_at_every_depth(number, turned, deep, tmp_path):
    """As Pillow, an independent reader, applies it to the same file at 8 bits."""
    path = tmp_path / "turned.tif"
    tag = [(274, 3, 1, number, True)]
    path.write_bytes(tiff(np.ascontiguousarray(turned(SIXTEEN if deep else GREY)), extratags=tag))
    assert np.array_equal(decode(path), GREY)


def test_a_depth_that_is_given_is_the_scale(tmp_path):
    path = tmp_path / "short.tif"
    path.write_bytes(tiff((TWELVE // 5).astype(np.uint16)))
    expected = np.rint((TWELVE // 5) * 255.0 / 4095)
    assert np.abs(decode(path, bits=12) - expected).max() <= 1
    with pytest.raises(InputError, match=r"brightest number is \d+, more than the 255 of 8 bits"):
        decode(path, bits=8)
    path.write_bytes(tiff((GREY / 1000).astype(np.float32)))
    assert np.abs(decode(path, bits=UNIT) - GREY * (255 / 1000)).max() <= 0.51


def test_a_window_is_what_the_file_says(tmp_path):
    path = tmp_path / "windowed.dcm"
    path.write_bytes(dicom(TWELVE, 12, WindowCenter=1500, WindowWidth=1001))
    # PS3.3 C.11.2.1.2.1, written out anew
    linear = (TWELVE - (1500 - 0.5)) / (1001 - 1) + 0.5
    assert np.abs(decode(path) - np.clip(linear, 0, 1) * 255).max() <= 0.6


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: tiff(np.stack([GREY, GREY]), imagej=True, metadata={"axes": "CYX"}), "2 channels"),
        (lambda: tiff(np.dstack([GREY] * 3), photometric="minisblack", planarconfig="contig"),
         "3 channels"),
        (lambda: tiff((TWELVE - 32768.0).astype(np.int16)), "signed"),
        (lambda: tiff(GREY.astype(np.int8)), "signed"),
        (lambda: tiff(np.zeros((8, 8), np.complex64)), "complex64 pixels"),
        (lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64), "HEIC"),
        (lambda: b"GIF89a" + bytes(64), "but GIF"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said(content, words, tmp_path):
    path = tmp_path / "picture.tif"
    path.write_bytes(content())
    with pytest.raises(InputError, match=rf"picture\.tif: .*{words}.*(Set|[Ss]ave|Export)"):
        decode(path)


def test_channel_and_plane_choose(tmp_path):
    path = tmp_path / "stack.tif"
    both = np.stack([GREY, 255 - GREY])
    for options in (dict(imagej=True, metadata={"axes": "CYX"}),
                    dict(ome=True, metadata={"axes": "CYX"}),
                    dict(photometric="minisblack", planarconfig="separate")):  # fmt: skip
        path.write_bytes(tiff(both, **options))
        assert np.array_equal(decode(path, channel=1), GREY)
        assert np.array_equal(decode(path, channel=2), 255 - GREY)
        with pytest.raises(InputError, match="channel 3 was asked for; there are 2"):
            decode(path, channel=3)
    planes = np.stack([GREY // (k + 1) for k in range(4)])
    path.write_bytes(tiff(np.stack([planes, 255 - planes], 1), imagej=True,
                          metadata={"axes": "ZCYX"}))  # fmt: skip
    assert np.array_equal(decode(path, channel=2, plane=3), 255 - GREY // 3)
    assert np.array_equal(decode(path, channel=1), GREY // 2)  # the lower middle of four
    with pytest.raises(InputError, match="focal plane 5 of 4"):
        decode(path, channel=1, plane=5)


ALPHAS = {
    "floats to 255": lambda: tiff(
        np.dstack([RGB, np.full_like(GREY, 255)]).astype(np.float32), photometric="rgb",
        extrasamples=["unassalpha"]),
    "as deep as the camera": lambda: tiff(
        np.dstack([RGB * 16.0, np.full(GREY.shape, 4095.0)]).astype(np.uint16), photometric="rgb",
        extrasamples=["unassalpha"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", ALPHAS)
def test_an_alpha_that_hides_nothing_changes_nothing(kind, tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(ALPHAS[kind]())
    assert np.abs(decode(path).astype(int) - RGB).max() <= 1


@pytest.mark.parametrize("deep", [False, True])
def test_a_png_is_turned_at_every_depth(deep, tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    path = tmp_path / "a.png"
    pixels = np.ascontiguousarray(np.rot90(SIXTEEN if deep else GREY))
    Image.fromarray(pixels).save(path, exif=exif)
    assert np.array_equal(decode(path), GREY)


def test_a_thumbnail_that_comes_first_is_not_the_picture(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(GREY[::4, ::4], subfiletype=1)
        writer.write(GREY)
    assert np.array_equal(decode(path), GREY)


def test_a_palette_of_one_bit_shows_its_colours(tmp_path):
    path = tmp_path / "a.tif"
    picture = Image.fromarray(np.eye(16, dtype=bool))
    picture.convert("P").save(path)
    assert np.array_equal(decode(path)[..., 0], np.eye(16, dtype=np.uint8) * 255)
    with pytest.raises(InputError, match="channel -1 was asked for"):
        decode(path, channel=-1)


@pytest.mark.parametrize(
    "emptied", [dict(RescaleSlope=None, RescaleIntercept=None), dict(VOILUTSequence=[]),
                dict(ModalityLUTSequence=[]), dict(WindowCenter=None, WindowWidth=None)]
)  # fmt: skip
def test_dicom_that_was_emptied_of_what_names_a_patient_is_read(emptied, tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom(TWELVE, 12, **emptied))
    assert np.array_equal(decode(path), GREY)


def test_a_rescaling_of_zero_intercept_is_no_empty_one(tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom(TWELVE, 12, RescaleSlope=2, RescaleIntercept=0))
    assert np.array_equal(decode(path), GREY)
