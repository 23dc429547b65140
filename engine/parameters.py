"""Typed parameters of a run: what all studies share, and the only reader of ``params/``."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import InputError
from engine.study import load_study, study_names

CLAIMS = "claims"  # lies beside the parameter files and is none


class Parameters(BaseModel):
    """Parameters that every study has: flat, typed, bounded; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    study: str = "embryo"
    profile: str = Field("quick", pattern=r"^[a-z][a-z0-9_]*$")
    seed: int = Field(0, ge=0, lt=2**31)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["32-true", "bf16-mixed", "64-true"] = "32-true"
    threads: int = Field(2, ge=1, le=256)
    refuse_nondeterministic: bool = False  # stop at such an operation; else run.json names it
    checkpoint_seconds: float = Field(60.0, ge=0.0)  # between checkpoints; 0: every step

    @property
    def facts(self) -> tuple[str, ...]:
        """What a reader must know of a run before anything else, as its notebooks print it."""
        return (f"seed {self.seed}",)


class SeveralTrainings(Parameters):
    """Of a study that trains all its arms from one seed or more."""

    training_seeds: int = Field(1, ge=1, le=100)

    @property
    def further_seeds(self) -> range:
        """Training seeds besides ``seed``."""
        return range(self.seed + 1, self.seed + self.training_seeds)


def _explain(error: ValidationError, kind: type[Parameters], origin: str) -> str:
    lines = [f"{origin}: {error.error_count()} parameter(s) refused."]
    for problem in error.errors():
        name = ".".join(map(str, problem["loc"])) or "parameters"
        if problem["type"] == "extra_forbidden":
            lines.append(f"  {name}: no such parameter; {_hint(name, kind)}")
            continue
        hint = ""
        if isinstance(problem["input"], str) and problem["type"] in ("float_type", "int_type"):
            hint = " YAML reads this as text: write a plain number, 2.0e-4 for 2e-4."
        value = "" if name == "parameters" else f" (got {problem['input']!r})"
        lines.append(f"  {name}: {problem['msg']}{value}.{hint}")
    return "\n".join(lines)


def _hint(name: str, kind: type[Parameters]) -> str:
    """What to do about a parameter that ``kind`` does not have."""
    owners = [study for study in study_names() if name in load_study(study).parameters.model_fields]
    if owners:
        return f"it is one of study {' and '.join(owners)}: set study to that, or remove it."
    near = difflib.get_close_matches(name, kind.model_fields, n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else "remove it."


def _kind_of(values: dict[str, Any]) -> type[Parameters]:
    """The parameters of the study that ``values`` name, or of the default one."""
    return load_study(values.get("study", Parameters.model_fields["study"].default)).parameters


def check_params(values: dict[str, Any], origin: str) -> Any:
    """Validate ``values`` as the parameters of the study they name.

    ``origin`` names where they came from in the error.

    Raises
    ------
    InputError
        No such study; unknown key (the nearest valid one, or the study it belongs to, is named);
        wrong type; value out of range.
    """
    kind = _kind_of(values)
    try:
        return kind(**values)
    except ValidationError as error:
        raise InputError(_explain(error, kind, origin)) from None


def check_record(values: dict[str, Any], origin: str) -> Any:
    """As ``check_params``, of what an earlier version has written: a parameter that there is none
    of any more is left out, since what it decided is done."""
    kind = _kind_of(values)
    return check_params(
        {name: value for name, value in values.items() if name in kind.model_fields}, origin
    )


def load_params(path: str | Path, **overrides: Any) -> Any:
    """Read one parameter file of ``params/``; ``overrides`` win over the file.

    Raises
    ------
    InputError
        The file is missing, is no flat YAML mapping, or a value is refused.
    """
    path = Path(path)
    if not path.is_file():
        profiles = {beside.stem for beside in path.parent.glob("*.yaml")} - {CLAIMS}
        known = ", ".join(sorted(profiles)) or "none"
        raise InputError(
            f"{path}: no such parameter file. Profiles beside it: {known}. Give the path of one, "
            "as params/quick.yaml."
        )
    try:
        values = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML ({error}). Correct the file.") from None
    if not isinstance(values, dict):
        raise InputError(
            f"{path}: {type(values).__name__} instead of lines 'name: value'. Write one for each "
            "parameter."
        )
    return check_params({**values, **overrides}, str(path))


def parameters_in(namespace: dict[str, Any]) -> Any:
    """Validate the parameters among the global variables of a notebook."""
    values = {name: namespace[name] for name in _kind_of(namespace).model_fields
              if name in namespace}  # fmt: skip
    return check_params(values, "the notebook's parameters")
