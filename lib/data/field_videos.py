"""Fields of cells from videos that are unpacked as folders of frames."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import pandas as pd

from engine.errors import InputError
from lib.data.field_files import MaskedFiles
from lib.data.interface import NOTHING
from lib.data.reading import find_images

MASKS = "masks"  # folder of the mask files


class VideoFrames(MaskedFiles):
    """Frames ``video_01/frame_0001.png``, and masks of some, ``masks/video_01/frame_0001.png``.

    Of each video the first frame and every ``every``-th after it are used, in the order of the
    numbers in their names, and all that have a mask; a mask may have another suffix than its frame.
    The group is the video.

    Parameters
    ----------
    folder : holds a folder for each video, and ``masks``
    domain : name of the domain of all videos
    every : 5 of a video of 25 frames per second are 5 frames per second
    mask_threshold : 0: masks are instance maps; else class images, see
        `lib.data.field_files.MaskedFiles`
    channel, window, size, tiled : as in `lib.data.field_files.FieldFiles`
    drawn_by : who drew the masks: ``"expert"`` or ``"model"``

    Raises
    ------
    InputError
        Two frames or masks of one name, ``every`` below 1, or as in
        `lib.data.field_files.FieldFiles`.
    """

    def __init__(
        self,
        folder: Path,
        domain: str,
        every: int,
        mask_threshold: int,
        channel: int,
        window: int,
        size: int,
        drawn_by: str,
        tiled: bool = False,
    ) -> None:
        root = folder.resolve()
        if every < 1:
            raise InputError(f"{folder}: every {every}. Set 1 for all frames, 2 for every second.")
        images, others = find_images(root)
        frames, masks = {}, {}
        left_out = [(file, domain, reason) for file, reason in others]
        for file in images:
            parts = PurePosixPath(file).parts
            kind, parts = (masks, parts[1:]) if parts[0] == MASKS else (frames, parts)
            if len(parts) != 2:
                words = f"{root / file}: not in a folder of a video. Move it into one."
                left_out.append((file, domain, words))
                continue
            key = parts[0], PurePosixPath(parts[1]).stem
            if key in kind:
                raise InputError(
                    f"{root}: '{kind[key]}' and '{file}' are one frame. Remove one of them."
                )
            kind[key] = file
        for key in sorted(masks.keys() - frames.keys()):
            words = f"{root / masks[key]}: a mask without a frame. Restore the frame of that name."
            left_out.append((masks[key], domain, words))
        drawn = {frames[key]: masks[key] for key in sorted(frames.keys() & masks.keys())}
        rows = []
        for video in sorted({video for video, _ in frames}):
            own = sorted((key for key in frames if key[0] == video), key=_numbers)
            for place, key in enumerate(own):
                if place % every == 0 or key in masks:
                    rows.append((frames[key], domain, "", video, drawn_by if key in masks else ""))
        entries = pd.DataFrame(rows, columns=["id", "domain", "label", "group", "drawn_by"])
        excluded = pd.DataFrame(left_out, columns=NOTHING.columns)
        super().__init__(
            drawn, mask_threshold, root, entries, excluded, {domain: window}, size, tiled, channel
        )


def _numbers(key: tuple[str, str]) -> list[tuple[int, str]]:
    """Sorts frame 10 behind frame 9."""
    return [(int(part), "") if part.isdigit() else (-1, part)
            for part in re.split(r"(\d+)", key[1])]  # fmt: skip
