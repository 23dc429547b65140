"""The commands on folders of images; those on runs stand in ``compendium.__main__``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_CHANNEL = "which of several channels, from 1 (default: there must be one)"

# Each command imports what it needs itself, so that --help answers at once.


def add_audit(commands: argparse._SubParsersAction) -> None:
    """Look a folder over."""

    def run(root: str, out: str, force: bool, channel: int) -> None:
        from compendium.clinic.audit import audit_folder

        tables = audit_folder(root, out, force, channel)
        for title in ("excluded", "unused", "exact duplicates", "near duplicates"):
            print(f"{title}: {len(tables[title])}")
        print(f"written: {out}")

    parser = commands.add_parser(
        "audit",
        help="look a folder of images over: unreadable files, duplicates, labels, appearance",
        epilog="example: compendium audit /path/to/images --out audit.html",
    )
    parser.add_argument("root", help="folder of images, with or without a labels.csv")
    parser.add_argument("--out", default="audit.html", help="page to write (default: audit.html)")
    parser.add_argument("--force", action="store_true", help="overwrite that page")
    parser.add_argument("--channel", type=int, default=0, help=_CHANNEL)
    parser.set_defaults(command=run)


def add_translate(commands: argparse._SubParsersAction) -> None:
    """Own images through a trained translator."""

    def run(weights: str, images: str, out: str, **options: Any) -> None:
        from compendium.clinic.translation import PAGE, TABLE, translate_folder

        table = translate_folder(weights, images, out, **options)
        stopped, lost = int((~table["passes"]).sum()), int((~table["found"]).sum())
        print(
            f"{len(table)} images translated; do not rely on {stopped} of them: outside what the "
            f"gate lets pass, or no embryo was found in them ({lost})"
        )
        print(*table.attrs["depths"], sep="\n")
        print(f"written: {out}/{TABLE} and {PAGE}")

    parser = commands.add_parser(
        "translate",
        help="translate a folder of own images",
        epilog="example: compendium translate --weights results/quick/NOTEBOOK/models/"
        "simulated.safetensors --images phone --out translated",
    )
    parser.add_argument("--weights", required=True, help="from results/PROFILE/NOTEBOOK/models")
    parser.add_argument("--images", required=True, help="folder, read with all below it")
    parser.add_argument("--out", required=True, help="folder, made if it is not there")
    parser.add_argument("--force", action="store_true", help="overwrite what lies in the way")
    parser.add_argument(
        "--keep-exif", action="store_true", help="take over EXIF, which may name the patient"
    )
    parser.add_argument("--channel", type=int, default=0, help=_CHANNEL)
    parser.add_argument(
        "--prevalence", type=lambda text: float(text.replace(",", ".")), metavar="SHARE",
        help="share of positives among your images, as 0.4 (default: that of the run)",
    )  # fmt: skip
    parser.set_defaults(command=run)


def add_export(commands: argparse._SubParsersAction) -> None:
    """A trained translator for other programs."""

    def run(**options: Any) -> None:
        from compendium.clinic.export import export

        difference = export(**options)
        print(f"ONNX Runtime and PyTorch differ by at most {difference:.2g} of 255 grey levels")
        print(f"written: {options['out']}")

    parser = commands.add_parser(
        "export",
        help="write a trained translator as ONNX, or as a package of the BioImage Model Zoo",
        epilog="example: compendium export results/quick/NOTEBOOK/models/"
        "simulated.safetensors --to bioimage --out translator.zip",
    )
    parser.add_argument("weights", help="from results/PROFILE/NOTEBOOK/models")
    parser.add_argument("--to", required=True, help="onnx or bioimage")
    parser.add_argument("--out", required=True, help="file to write")
    parser.add_argument("--force", action="store_true", help="overwrite that file")
    parser.set_defaults(command=run)


def add_unpack(commands: argparse._SubParsersAction) -> None:
    """Unpack an archive of images."""

    def run(archive: str, folder: str) -> None:
        from compendium.clinic.archives import unpack

        print(f"{unpack(archive, folder)} files in {folder}")

    parser = commands.add_parser(
        "unpack",
        help="unpack a downloaded archive of images, without trusting it",
        epilog="example: compendium unpack ed4.zip data/ed4",
    )
    parser.add_argument("archive", help="zip or tar (plain, gz, bz2, xz)")
    parser.add_argument("folder", help="where to; new or empty")
    parser.set_defaults(command=run)


def add_reader_study(commands: argparse._SubParsersAction) -> None:
    """Make a blinded study, and export its answers."""

    def make(**options: Any) -> None:
        from compendium.reader_study.making import make_study
        from compendium.reader_study.study import key_path

        key = make_study(**options)
        print(key.groupby(["kind", "label"]).size().unstack().to_string())
        print(f"written: {options['out']} for the readers, {key_path(Path(options['out']))} not")

    def export(**options: Any) -> None:
        from compendium.reader_study.export import export_answers

        print(f"{export_answers(**options)} answers written: {options['out']}")

    parser = commands.add_parser(
        "reader-study",
        help="make a blinded study of a run's images, export its answers",
        epilog="example: compendium reader-study make --results results/quick --out "
        "reader_study; make --help and export --help say more",
    )
    verbs = parser.add_subparsers(metavar="make | export", required=True)
    parser = verbs.add_parser(
        "make",
        help="choose images, hide what they are, write the key",
        epilog="example: compendium reader-study make --results results/quick --out "
        "reader_study; then: voila notebooks/apps/reader_study.ipynb",
    )
    parser.add_argument("--results", required=True, help="results folder, as results/quick")
    parser.add_argument("--out", required=True, help="folder to make")
    parser.add_argument("--images", type=int, default=40, help="different images (default: 40)")
    parser.add_argument("--repeats", type=int, default=8, help="of them shown twice (default: 8)")
    parser.add_argument("--seed", type=int, default=0, help="of choice and order (default: 0)")
    parser.set_defaults(command=make)
    parser = verbs.add_parser(
        "export",
        help="write all answers as one CSV",
        epilog="example: compendium reader-study export reader_study --out answers.csv",
    )
    parser.add_argument("folder", help="folder of the study")
    parser.add_argument("--out", required=True, help="CSV to write")
    parser.add_argument("--key", help="add what each image is; without it the table is blinded")
    parser.set_defaults(command=export)
