"""Sources: the kinds of data, and the one way to open them."""

from __future__ import annotations

from pathlib import Path

from engine.errors import InputError
from lib.data.files import FileSource
from lib.data.folders import folder_entries
from lib.data.interface import Source
from lib.data.parameters import ImageParameters
from lib.data.phantoms import PhantomSource
from lib.data.rephotograph import RephotographedSource
from lib.data.tables import table_entries
from lib.data.timelapse import timelapse_entries

ENTRIES = {"folders": folder_entries, "table": table_entries, "timelapse": timelapse_entries}


def open_source(params: ImageParameters, data_root: str | Path) -> Source:
    """The source that ``params`` name, below the folder ``data_root``.

    Only the domains named in the parameters are kept. ``second_target_optics`` adds the second
    target by photographing the images of the source domain again.

    Raises
    ------
    InputError
        The folder is missing, empty or not laid out as its kind demands.
    """
    if params.data_kind == "phantom":
        return PhantomSource(params)
    root = data_folder(params, Path(data_root))
    source = FileSource(root, *ENTRIES[params.data_kind](root, params), params)
    return RephotographedSource(source, params) if params.second_target_optics else source


def data_folder(params: ImageParameters, data_root: Path) -> Path:
    """The folder of the images, resolved; it exists and lies in ``data_root``."""
    root = (data_root / params.data_dir).resolve()
    if not root.is_relative_to(data_root.resolve()):
        raise InputError(
            f"data_dir '{params.data_dir}' leads outside of {data_root}. Name a folder in it, or "
            "give another data root."
        )
    if not root.is_dir():
        raise InputError(
            f"{root}: no such folder. Put the images there or correct data_dir or the data root."
        )
    if not any(root.iterdir()):
        raise InputError(f"{root}: the folder is empty. Put the images there.")
    return root
