"""Layout of the published embryo sets: a folder per domain, in it a folder per grade."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from engine.errors import InputError
from lib.data.parameters import ImageParameters
from lib.data.reading import is_clutter, why_not

# ED3 was sorted by class, all others by grade of the embryo.
GRADES = {"ED3": ("1", "2")}
ALL_GRADES = ("1", "2", "3", "4", "5")


def label_of(domain: str, folder: str, label_rule: str) -> int:
    """Label of an image in grade folder ``folder``: 1 blastocyst, 0 none.

    ``label_rule`` "folder1": folder 1 is no blastocyst; "folders12": folders 1 and 2 are. In ED3
    folder 1 is no blastocyst and folder 2 blastocyst under both rules.
    """
    negative = ("1",) if domain in GRADES or label_rule == "folder1" else ("1", "2")
    return int(folder not in negative)


def folder_entries(root: Path, params: ImageParameters) -> tuple[pd.DataFrame, pd.DataFrame]:
    """List ``<domain>/alldata/<grade>/<image>`` for the domains that ``params`` name.

    Returns
    -------
    entries : DataFrame with id (relative path), domain, label, group (the id: no patient is known)
    excluded : DataFrame with id, domain, reason of files that are no images

    Raises
    ------
    InputError
        A domain or its ``alldata`` is missing (the second target may be), a grade folder is
        unknown or none is there.
    """
    domains = [params.source_domain, params.target_domain]
    if (root / params.second_target_domain.lower()).is_dir():
        domains.append(params.second_target_domain)
    return list_domains(root, domains, params.label_rule)


def list_domains(
    root: Path, domains: list[str], label_rule: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """As `folder_entries`, for ``domains`` (upper-case folder names)."""
    entries, excluded = [], []
    for domain in domains:
        for folder in _grade_folders(root, domain):
            label = label_of(domain, folder.name, label_rule)
            for path in sorted(folder.iterdir()):
                if is_clutter(path):
                    continue
                id = path.relative_to(root).as_posix()
                if reason := why_not(path):
                    excluded.append((id, domain, f"{path}: {reason}"))
                else:
                    entries.append((id, domain, label, id))
        for path in _beside_grades(root / domain.lower()):
            reason = f"{path}: an image in no grade folder, so without a label. Move it into one."
            excluded.append((path.relative_to(root).as_posix(), domain, reason))
        if not any(entry[1] == domain for entry in entries):
            raise InputError(f"{root / domain.lower()}: no images. Put the grade folders there.")
    return (
        pd.DataFrame(entries, columns=["id", "domain", "label", "group"]),
        pd.DataFrame(excluded, columns=["id", "domain", "reason"]),
    )


def _beside_grades(folder: Path) -> list[Path]:
    """Images that lie in the folder of a domain or in its ``alldata``."""
    beside = sorted([*folder.iterdir(), *(folder / "alldata").iterdir()])
    return [path for path in beside if not is_clutter(path) and why_not(path) is None]


def _grade_folders(root: Path, domain: str) -> list[Path]:
    alldata = root / domain.lower() / "alldata"
    if not alldata.is_dir():
        there = ", ".join(sorted(path.name for path in root.iterdir() if path.is_dir()))
        raise InputError(
            f"{alldata}: no such folder for domain {domain}; {root} holds: {there or 'no folders'}."
            " Unpack the data set there or correct the domain's name."
        )
    known = GRADES.get(domain, ALL_GRADES)
    folders = sorted(path for path in alldata.iterdir() if path.is_dir())
    unknown = [path.name for path in folders if path.name not in known]
    if unknown:
        raise InputError(
            f"{alldata / unknown[0]}: unknown folder name; {domain} has folders "
            f"{', '.join(known)}. Rename or remove it."
        )
    return folders
