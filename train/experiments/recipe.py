# SPDX-License-Identifier: Apache-2.0
"""Recipes: a training or an experiment as a TOML file. recipes/ holds those of docs/experiments.

A recipe names data, variants, seeds and budget; what it leaves out is as the command has it, what
the command line gives goes before it. Each run writes the recipe that it was made by.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wakestate import ROOT
from wakestate.errors import UserError
from wakestate.explain import explain
from wakestate.files import FileError, plain, reading, sized, write_atomically

FOLDER = ROOT / "train/recipes"
NAME = "recipe.toml"  # of the copy in a run's folder
MAX_BYTES = 1 << 16


class RecipeError(UserError):
    """A recipe cannot be used; the text names file, key, value and what is allowed."""

    several_lines = True


Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(gt=0, le=100)]
Some = Field(min_length=1)
Conditioning = Literal["none", "join", "norm", "both"]
Kind = Literal["cra", "cnn195", "cnn100", "cnn76", "dnn-hmm"]
Windows = Literal["aligned", "misaligned"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Folders(_Section):
    folder: str | None = Field(None, description="recordings, with manifest.csv: --data")
    also: tuple[str, ...] | None = None


class _Data(_Folders):
    split: str | None = Field(None, description="of the manifest, to measure on")


class _TrainData(_Data):
    also_dev: tuple[str, ...] | None = None


class _Rounds(_Section):
    rounds: Natural | None = None
    batches: Positive | None = Field(None, description="in a round")
    amount: Amount | None = Field(None, description="of the usual scenes")


class _TrainBudget(_Rounds):
    quantization_aware: Natural | None = Field(None, description="of the rounds, the last ones")
    confusables: Natural | None = Field(None, description="clips mixed around a confusable phrase")
    rate: Annotated[float, Field(gt=0, le=1)] | None = None


class _ExperimentEpochs(_Section):
    epochs: Positive | None = None
    amount: Amount | None = Field(None, description="of the usual scenes")


class _Epochs(_ExperimentEpochs):
    batches: Positive | None = Field(None, description="in an epoch")


class _Network(_Section):
    conditioning: Conditioning | None = None
    start: tuple[str, ...] | None = None
    teacher: tuple[str, ...] | None = None
    pool: str | None = None


class _WordMeasure(_Section):
    draws: Positive | None = None
    short: bool | None = None


class _Measure(_WordMeasure):
    echo: str | None = None


class _Recipe(_Section):
    command: str
    word: str | None = None
    out: str | None = None


class TrainRecipe(_Recipe):
    """`wakestate train`."""

    command: Literal["train"]
    seed: Natural | None = None
    only_train: bool | None = None
    data: _TrainData = _TrainData()
    budget: _TrainBudget = _TrainBudget()
    network: _Network = _Network()
    measure: _Measure = _Measure()


class _SpokenData(_Section):
    positives: Positive | None = Field(None, description="synthesized clips with the phrase")
    engines: str | None = None
    recorded: Literal["yes", "some", "few"] | None = None
    benchmark: bool | None = Field(None, description="measure on its hours as well")


class _Distillation(_Section):
    teacher: tuple[str, ...] | None = None


class WordRecipe(_Section):
    """`wakestate word new`."""

    command: Literal["word new"]
    seed: Natural | None = None
    data: _SpokenData = _SpokenData()
    budget: _TrainBudget = _TrainBudget()
    network: _Distillation = _Distillation()
    measure: _WordMeasure = _WordMeasure()


class ExperimentRecipe(_Recipe):
    """`wakestate model experiment`: each variant with each seed."""

    command: Literal["model experiment"]
    variants: Annotated[tuple[Conditioning, ...], Some] | None = None
    seeds: Annotated[tuple[Natural, ...], Some] | None = None
    data: _Data = _Data()
    budget: _Rounds = _Rounds()


class VerifierRecipe(_Recipe):
    """`wakestate verifier train`."""

    command: Literal["verifier train"]
    kind: Kind | None = None
    windows: Windows | None = None
    seed: Natural | None = None
    model: str | None = Field(None, description="of the detector: --model")
    wakes: str | None = None
    data: _Folders = _Folders()
    budget: _Epochs = _Epochs()


class VerifierExperimentRecipe(_Recipe):
    """`wakestate verifier experiment`: each kind with each way to place windows and each seed."""

    command: Literal["verifier experiment"]
    kinds: Annotated[tuple[Kind, ...], Some] | None = None
    windows: Annotated[tuple[Windows, ...], Some] | None = None
    seeds: Annotated[tuple[Natural, ...], Some] | None = None
    rate: Annotated[float, Field(gt=0)] | None = Field(None, description="FA/h of the detector")
    model: str | None = Field(None, description="of the detector: --model")
    wakes: str | None = None
    data: _Data = _Data()
    budget: _ExperimentEpochs = _ExperimentEpochs()


RECIPES: dict[str, type[BaseModel]] = {
    "train": TrainRecipe,
    "word new": WordRecipe,
    "model experiment": ExperimentRecipe,
    "verifier train": VerifierRecipe,
    "verifier experiment": VerifierExperimentRecipe,
}
#: What may differ when a run is resumed: where results go, what is measured, more variants and
#: seeds; and names of files, which are compared by what is in them (keep_config).
FREE = {"out", "measure", "only_train", "variants", "kinds", "windows", "seeds", "rate"}
FREE |= {"word", "data", "model", "wakes", "network.start", "network.teacher", "network.pool"}
_OPTIONS = {"folder": "data"}  # whose option has another name


def names() -> list[str]:
    """The recipes of the project."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def find(given: str) -> Path:
    """The file of a recipe's name or path. RecipeError."""
    path = Path(given) if given.endswith(".toml") or "/" in given else FOLDER / f"{given}.toml"
    if not path.is_file():
        raise RecipeError(
            f"--recipe: {plain(given)}: no such recipe; give a .toml file or one of: "
            f"{', '.join(names())}"
        )
    return path


def load(path: Path, command: str) -> dict[str, Any]:
    """What a recipe gives to the options of its command, by their names. RecipeError, FileError."""
    content = _read(path)
    given = content.get("command")
    if given in RECIPES and given != command:
        raise RecipeError(
            f"{path}: command: given {given!r}; this is `wakestate {command}`: run "
            f"`wakestate {given} --recipe {path}`"
        )
    try:
        recipe = RECIPES[command].model_validate(content)
    except ValidationError as error:
        raise RecipeError(explain(path, RECIPES[command], error)) from None
    options: dict[str, Any] = {}
    for key, value in recipe.model_dump(exclude_none=True, exclude={"command"}).items():
        options |= value if isinstance(value, dict) else {key: value}
    return {_OPTIONS.get(key, key): value for key, value in options.items()}


def _read(path: Path) -> dict[str, Any]:
    with reading(sized(path, MAX_BYTES)):
        data = path.read_bytes()
    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileError(f"{path}: is no TOML: {plain(error)}") from None


def keep(run: Path, command: str, given: Mapping[str, Any]) -> None:
    """Write RUN/recipe.toml: `given`, the options of a command by their names, as a recipe.

    RecipeError where the run was begun by another one; it names the first key that differs.
    """
    path, made = run / NAME, _made(command, given)
    if path.is_file():
        before, now = _flat(_read(path)), _flat(made)
        for key in sorted(before.keys() | now.keys()):
            free = key in FREE or key.split(".")[0] in FREE
            if not free and before.get(key) != now.get(key):
                raise RecipeError(
                    f"{path}: {key}: this run was started with {_shown(before.get(key))}, given "
                    f"{_shown(now.get(key))}; give the same, name another --out, or remove {run}"
                )
    write_atomically(path, _toml(made))


def _made(command: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe of a command's options; those that are not given are left out."""
    made: dict[str, Any] = {"command": command}
    for key, field in RECIPES[command].model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            made[key] = {
                name: _plain(given[_OPTIONS.get(name, name)])
                for name in section.model_fields
                if given.get(_OPTIONS.get(name, name)) not in (None, (), False)
            }
        elif key != "command" and given.get(key) not in (None, (), False):
            made[key] = _plain(given[key])
    return made


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | float | str) else str(value)


def _flat(content: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        inner = value if isinstance(value, Mapping) else None
        flat |= {f"{key}.{k}": v for k, v in inner.items()} if inner is not None else {key: value}
    return flat


def _shown(value: Any) -> str:
    return "none" if value is None else plain(json.dumps(value), 80)


def _toml(content: Mapping[str, Any]) -> str:
    """TOML of plain values, lists of them and tables of these: JSON's text of each is TOML's."""
    top = {k: v for k, v in content.items() if not isinstance(v, Mapping)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in top.items()]
    for key, table in content.items():
        if isinstance(table, Mapping) and table:
            lines += ["", f"[{key}]", *(f"{k} = {json.dumps(v)}" for k, v in table.items())]
    return "\n".join(lines) + "\n"
