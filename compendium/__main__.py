"""Commands: ``compendium COMMAND --help``."""

from __future__ import annotations

import argparse
import sys
import warnings

from compendium.clinic.commands import (
    add_audit,
    add_export,
    add_reader_study,
    add_translate,
    add_unpack,
)
from engine.errors import InputError


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns 0, or 2 where what it was given cannot be used."""
    parser = argparse.ArgumentParser(
        prog="compendium",
        description=__doc__,
        epilog="example: compendium audit /path/to/images; compendium COMMAND --help shows "
        "one for each",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add_audit(commands)
    add_translate(commands)
    add_export(commands)
    add_unpack(commands)
    add_reader_study(commands)
    _add_train(commands)
    _add_bench(commands)
    _add_claims(commands)
    _add_mutants(commands)
    _add_explain(commands)
    _add_notebook(commands)
    _add_collect(commands)
    _add_crate(commands)
    _add_keep(commands)
    _add_readme(commands)
    _add_workshop(commands)
    _add_site(commands)
    options = vars(parser.parse_args(arguments))
    # A user has no use for the line of code that warns.
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"
    command = options.pop("command")
    try:
        command(**options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


# Each command imports what it needs itself, so that --help answers at once.


def _add_train(commands: argparse._SubParsersAction) -> None:
    def run(stage: str, params: str) -> None:
        from compendium.train import train_stage
        from engine.fabric import DivergedError

        try:
            for name in train_stage(stage, params):
                print(f"in the store: {name}")
        except DivergedError as error:
            sys.exit(f"error: {error}")

    parser = commands.add_parser(
        "train",
        help="train without a notebook, on one process or under torchrun",
        epilog="example: torchrun --nproc-per-node 2 -m compendium train cyclegan --params "
        "params/quick.yaml",
    )
    parser.add_argument("stage", choices=("classifier", "cyclegan"), help="what to train")
    parser.add_argument("--params", required=True, help="parameter file, as params/quick.yaml")
    parser.set_defaults(command=run)


def _add_bench(commands: argparse._SubParsersAction) -> None:
    def run(out: str, only: list[str], threads: int) -> None:
        from compendium.bench.record import run_bench

        for name, table in run_bench(out, only, threads).items():
            print(f"{name}\n{table.round(3).to_string(index=False)}\n")
        print(f"written: {out}")

    parser = commands.add_parser(
        "bench",
        help="measure the engine beside a plain training",
        epilog="example: compendium bench --only speed; five minutes each for speed and growth "
        "on a CPU; precision, quality and fidelity take an hour and need a finished run of quick.",
    )
    parser.add_argument("--out", default="results/bench.json", help="file to write")
    parser.add_argument(
        "--only", nargs="+", default=[],
        choices=("speed", "growth", "precision", "quality", "fidelity"),
        help="sections to measure (default: all)",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, default=2, help="of a process (default: 2)")
    parser.set_defaults(command=run)


def _add_claims(commands: argparse._SubParsersAction) -> None:
    def run(results: str, claims: str) -> None:
        from compendium.claims.report import summary, write_claims

        print(summary(write_claims(results, claims)).to_string())
        print(f"written: {results}/claims.md and claims.json")

    parser = commands.add_parser(
        "claims",
        help="judge all published claims by the kept predictions of a run",
        epilog="example: compendium claims results/quick",
    )
    parser.add_argument("results", help="results folder, as results/quick")
    parser.add_argument("--claims", default="", help="claims file (default: params/claims.yaml)")
    parser.set_defaults(command=run)


def _add_mutants(commands: argparse._SubParsersAction) -> None:
    def run(results: str) -> None:
        from compendium.claims.book import load_claims
        from compendium.claims.evidence import read_evidence
        from compendium.claims.mutants import run_mutants

        outcomes, vacuous = run_mutants(load_claims(), read_evidence(results))
        for outcome in outcomes:
            print(f"{'caught ' if outcome.changed else 'ESCAPED'} {outcome.mutant}: "
                  f"{len(outcome.changed)} claims change")  # fmt: skip
        for claim in vacuous:
            print(f"VACUOUS {claim}: no mutant changes its verdict")
        escaped = [outcome.mutant for outcome in outcomes if not outcome.changed]
        print(f"{len(outcomes) - len(escaped)} of {len(outcomes)} mutants caught")
        if escaped or vacuous:
            sys.exit(1)

    parser = commands.add_parser(
        "mutants",
        help="spoil predictions and published figures; every time a verdict must change",
        epilog="example: compendium mutants results/quick",
    )
    parser.add_argument("results", help="results folder, as results/quick")
    parser.set_defaults(command=run)


def _add_explain(commands: argparse._SubParsersAction) -> None:
    def run(figure: str) -> None:
        from compendium.explain import explain

        print(explain(figure))

    parser = commands.add_parser(
        "explain",
        help="say where a figure comes from: table, predictions, weights, code, data",
        epilog="example: compendium explain results/quick/NOTEBOOK/figures/roc_ed1.png",
    )
    parser.add_argument("figure", help="as results/PROFILE/NOTEBOOK/figures/NAME.png")
    parser.set_defaults(command=run)


def _add_notebook(commands: argparse._SubParsersAction) -> None:
    def run(**options: str) -> None:
        from engine.execution import NotebookError, run_notebook

        try:
            run_notebook(**options)
        except NotebookError as error:
            sys.exit(f"error: {error}")

    parser = commands.add_parser(
        "notebook",
        help="execute one notebook (called by Snakemake)",
        epilog="example: compendium notebook NN_name --profile quick --key KEY --sources HASH; "
        "by hand rather: make reproduce",
    )
    parser.add_argument("name", help="notebook without suffix, as NN_name")
    parser.add_argument("--profile", required=True, help="parameter file without suffix")
    parser.add_argument("--key", required=True, help="content key its results are marked with")
    parser.add_argument("--sources", required=True, help="hash of the notebook and its code")
    parser.set_defaults(command=run)


def _add_collect(commands: argparse._SubParsersAction) -> None:
    def run(**options: str) -> None:
        from compendium.collect import collect

        collect(**options)

    parser = commands.add_parser(
        "collect",
        help="write metrics.json, manifest.json and cards of a run (called by Snakemake)",
        epilog="example: compendium collect --profile quick --data FINGERPRINT; by hand rather: "
        "make reproduce",
    )
    parser.add_argument("--profile", required=True, help="parameter file without suffix")
    parser.add_argument("--data", required=True, help="fingerprint of the images")
    parser.set_defaults(command=run)


def _add_crate(commands: argparse._SubParsersAction) -> None:
    def run(results: str) -> None:
        from compendium.crate import write_crate

        print(f"written: {write_crate(results)}")

    parser = commands.add_parser(
        "crate",
        help="describe the files of a run, and what made them, as an RO-Crate",
        epilog="example: compendium crate results/quick",
    )
    parser.add_argument("results", help="results folder, as results/quick")
    parser.set_defaults(command=run)


def _add_keep(commands: argparse._SubParsersAction) -> None:
    def run(results: str, out: str) -> None:
        from compendium.keep import keep_results

        keep_results(results, out)
        print(f"written: {out}")

    parser = commands.add_parser(
        "keep",
        help="copy what of a run is kept in git (called by make reference)",
        epilog="example: compendium keep results/quick --out results/reference/quick",
    )
    parser.add_argument("results", help="results folder, as results/quick")
    parser.add_argument("--out", required=True, help="folder whose content is replaced")
    parser.set_defaults(command=run)


def _add_readme(commands: argparse._SubParsersAction) -> None:
    def run() -> None:
        from compendium.readme import PAGES, write_pages

        write_pages()
        print(f"written: {' and '.join(map(str, PAGES))}")

    parser = commands.add_parser(
        "readme",
        help="write the tables of README.md and docs anew, and the picture of the code",
        epilog="example: compendium readme",
    )
    parser.set_defaults(command=run)


def _add_workshop(commands: argparse._SubParsersAction) -> None:
    def run(profile: str, force: bool) -> None:
        from compendium.workshop.copies import write_workshop

        print(f"written: {write_workshop(profile, force)}")

    parser = commands.add_parser(
        "workshop",
        help="write copies of the notebooks for a class, students' without solutions",
        epilog="example: compendium workshop --profile quick",
    )
    parser.add_argument("--profile", required=True, help="a profile that has been run")
    parser.add_argument("--force", action="store_true", help="write over a workshop that is there")
    parser.set_defaults(command=run)


def _add_site(commands: argparse._SubParsersAction) -> None:
    def run(results: str) -> None:
        from compendium.site.build import SiteError, build_site

        try:
            print(f"written: {build_site(results)}/index.html")
        except SiteError as error:
            sys.exit(f"error: {error}")

    parser = commands.add_parser(
        "site",
        help="build the pages of a run: notebooks, figures, claims and the library",
        epilog="example: compendium site quick",
    )
    parser.add_argument("results", help="a profile, or a folder of results with a slash in it")
    parser.set_defaults(command=run)


if __name__ == "__main__":
    sys.exit(main())
