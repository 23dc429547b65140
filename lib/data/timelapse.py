"""Layout of the time-lapse set of Gomez et al. 2022 (Zenodo 6390798), as its archives unpack.

``embryo_dataset/<embryo>/<...>_RUN<frame>.jpeg`` is the central focal plane,
``embryo_dataset_F-15`` ... ``embryo_dataset_F45`` are the planes beside it (micrometres), and
``embryo_dataset_annotations/<embryo>_phases.csv`` has rows phase, first frame, last frame.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from engine.errors import InputError
from lib.data.folders import list_domains
from lib.data.parameters import ImageParameters

CENTRE = "embryo_dataset"
ANNOTATIONS = "embryo_dataset_annotations"
STEP = 15  # micrometres between focal planes
PHASES = (
    *("tPB2", "tPNa", "tPNf", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9+"),
    *("tM", "tSB", "tB", "tEB", "tHB"),
)
BLASTOCYST = PHASES[PHASES.index("tB") :]
_FRAME = re.compile(r"_RUN(\d+)\.jpe?g$", re.IGNORECASE)


def timelapse_entries(root: Path, params: ImageParameters) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Choose images of the time-lapse set; they become the domain ``params.source_domain``.

    Every embryo gives ``frames_per_embryo`` frames spread evenly over its annotated time, each in
    ``focal_planes`` planes, the central one and its neighbours in balance; embryos with less give
    all they have. From phase tB on a frame is a blastocyst. Targets that lie in ``root`` in the
    layout of `lib.data.folders` are listed too.

    Returns
    -------
    entries : DataFrame with id (relative path), domain, label, group (the embryo)
    excluded : DataFrame with id, domain, reason of embryos without a usable annotation and of
        frames that a plane lacks

    Raises
    ------
    InputError
        A folder is missing, or no embryo can be used.
    """
    planes = plane_folders(params.focal_planes, 0) + plane_folders(params.focal_planes, 1)
    for name in (*planes, ANNOTATIONS):
        if not (root / name).is_dir():
            raise InputError(
                f"{root / name}: no such folder. Unpack {name}.tar.gz there or lower focal_planes."
            )
    entries, excluded = [], []
    for embryo in sorted(path.name for path in (root / CENTRE).iterdir() if path.is_dir()):
        try:
            stages = read_phases(root / ANNOTATIONS / f"{embryo}_phases.csv")
        except InputError as error:
            excluded.append((f"{CENTRE}/{embryo}", str(error)))
            continue
        files = {name: _frame_files(root / name / embryo) for name in set(planes)}
        annotated = [frame for frame in sorted(files[CENTRE]) if frame in stages]
        for turn, frame in enumerate(spread(annotated, params.frames_per_embryo)):
            for plane in plane_folders(params.focal_planes, turn):
                if frame in files[plane]:
                    id = files[plane][frame].relative_to(root).as_posix()
                    entries.append((id, int(stages[frame] in BLASTOCYST), embryo))
                else:
                    id = f"{plane}/{embryo}"
                    excluded.append((id, f"{root / id}: frame {frame} is missing in this plane"))
    listed = pd.DataFrame(entries, columns=["id", "label", "group"])
    if listed.empty:
        raise InputError(
            f"{root}: none of {len(excluded)} embryos can be used. Correct them, the first is "
            f"{excluded[0][0]}: {excluded[0][1]}"
        )
    listed.insert(1, "domain", params.source_domain)
    left_out = pd.DataFrame(excluded, columns=["id", "reason"])
    left_out.insert(1, "domain", params.source_domain)

    targets = [params.target_domain, params.second_target_domain]
    there = [domain for domain in targets if (root / domain.lower()).is_dir()]
    target_entries, target_excluded = list_domains(root, there, params.label_rule)
    return (
        pd.concat([listed, target_entries], ignore_index=True),
        pd.concat([left_out, target_excluded], ignore_index=True),
    )


def plane_folders(count: int, turn: int) -> list[str]:
    """Folders of the ``count`` planes shown of the frame chosen as number ``turn``.

    The centre comes first, then neighbours in pairs; where one has no partner its side alternates
    from turn to turn, so that both sides give the same number of images.
    """
    first = -1 if turn % 2 == 0 else 1
    folders = [CENTRE]
    for place in range(1, count):
        distance = STEP * ((place + 1) // 2)
        folders.append(f"{CENTRE}_F{distance * (first if place % 2 else -first)}")
    return folders


def spread(frames: list[int], count: int) -> list[int]:
    """At most ``count`` of ``frames``, at even distances from each other and from both ends."""
    count = min(count, len(frames))
    places = (np.arange(count) + 0.5) * len(frames) / max(count, 1)
    return [frames[int(place)] for place in places]


def read_phases(path: Path) -> dict[int, str]:
    """Phase of every annotated frame of an embryo.

    Raises
    ------
    InputError
        The file is missing, or a row is no known phase with a first and a last frame.
    """
    if not path.is_file():
        raise InputError(f"{path}: no annotation of this embryo. Unpack it there.")
    stages: dict[int, str] = {}
    for line in path.read_text(errors="replace").splitlines():
        phase, *numbers = (part.strip() for part in line.split(","))
        if phase not in PHASES or len(numbers) != 2 or not all(n.isdecimal() for n in numbers):
            raise InputError(
                f"{path}: '{line}' is not a known phase with first and last frame. Correct the row."
            )
        stages |= dict.fromkeys(range(int(numbers[0]), int(numbers[1]) + 1), phase)
    return stages


def _frame_files(folder: Path) -> dict[int, Path]:
    if not folder.is_dir():
        return {}
    found = ((_FRAME.search(path.name), path) for path in sorted(folder.iterdir()))
    return {int(match.group(1)): path for match, path in found if match}
