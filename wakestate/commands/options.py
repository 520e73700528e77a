# SPDX-License-Identifier: Apache-2.0
"""Options that mean the same in every command, and the types of their values."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from wakestate import ROOT
from wakestate.errors import UserError
from wakestate.tables import Printed

if TYPE_CHECKING:
    from wakestate.words import Word

    _Type = click.ParamType[Any]
else:
    _Type = click.ParamType  # not generic before click 8.4

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
CACHE = Path("build/cache")
BUNDLES, SUFFIX = Path("build/bundles"), ".wakestate"  # as in convert/bundle.py
_BUNDLE = "wakestate.bundle"
FOLDER = click.Path(path_type=Path)
FILE = click.Path(path_type=Path)
NATURAL = click.IntRange(min=0)
POSITIVE = click.IntRange(min=1)


def project_path(name: str) -> Path:
    """A path of the project: below the current folder where it is there, else in the package."""
    here = Path(name)
    return here if here.exists() or not (ROOT / name).exists() else ROOT / name


@dataclass(frozen=True)
class WordFile:
    """A wake word as `--word` names it."""

    name: str
    path: Path
    given: str

    def load(self) -> Word:
        """The word, checked. WordError."""
        from wakestate.words import load_word

        return load_word(self.path)

    @property
    def model(self) -> Path:
        """The folder of its model, where none is given."""
        if self.path.is_relative_to(BUNDLES):
            return self.path.parent / "model"
        return project_path(f"models/{self.name}")

    @property
    def samples(self) -> list[str]:
        """The WAV files that come with its model."""
        return [str(path) for path in sorted(self.model.glob("sample*.wav"))]


def word_names() -> list[str]:
    """The words here and in the package."""
    return sorted({p.stem for f in (Path(), ROOT) for p in (f / "words").glob("*.toml")})


class _WordType(_Type):
    name = "word"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> WordFile:
        if isinstance(value, WordFile):
            return value
        if value.endswith(SUFFIX):
            return bundled(Path(value))
        is_path = value.endswith(".toml") or "/" in value
        path = Path(value) if is_path else project_path(f"words/{value}.toml")
        if not path.is_file():
            names = ", ".join(word_names())
            self.fail(f"{path}: no such word file; give a .toml file, a bundle or one of: {names}")
        return WordFile(path.stem, path, value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(name) for name in word_names() if name.startswith(incomplete)]


def bundled(path: Path) -> WordFile:
    """The word of a bundle, which is checked and unpacked below build/. UserError."""
    from wakestate.convert.bundle import unpacked

    word_path, _ = unpacked(path, _check_verifier)
    return WordFile(word_path.stem, word_path, str(path))


def _check_verifier(word: Word, model: Path) -> None:
    """Of a bundle that has one. UserError."""
    folder = model / "verifier"
    if not folder.is_dir():
        return
    from wakestate.verify.service.detector import read_verifier

    read_verifier(folder, word, model)


def _word_of_bundle(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """`--word`, or where that of `--model` is a bundle, its word."""
    found: WordFile | None = ctx.meta.get(_BUNDLE)
    if found is None:
        return value
    several = isinstance(value, tuple)
    if ctx.get_parameter_source(param.name or "") == ParameterSource.DEFAULT:
        return (found,) if several else found
    first = value[0] if several else value
    if first.name != found.name:
        raise click.UsageError(
            f"--word {first.given}: the bundle {found.given} is of '{found.name}'; leave out --word"
        )
    return (found, *value[1:]) if several else found


def _model_folder(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    """`--model`: a folder, or that of a bundle, whose word is then that of the command."""
    if value is None or not value.is_file() or ctx.resilient_parsing:
        return value
    ctx.meta[_BUNDLE] = found = bundled(value)
    return found.model


class _BoardType(_Type):
    name = "board"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from wakestate.boards.schema import board_names

        if value not in board_names():
            self.fail(f"no board '{value}'; there are: {', '.join(board_names())}")
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from wakestate.boards.schema import board_names

        return [CompletionItem(name) for name in board_names() if name.startswith(incomplete)]


class _NamedFile(_Type):
    name = "NAME=FILE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Path]:
        name, sign, path = value.partition("=")
        if not (name and sign and Path(path).is_file()):
            self.fail(f"given {value}; allowed: NAME=FILE, the file existing")
        return name, Path(path)


WORD = _WordType()
BOARD = _BoardType()
NAMED_FILE = _NamedFile()

_word = functools.partial(
    click.option,
    "--word",
    type=WORD,
    show_default=True,
    metavar="NAME|FILE",
    callback=_word_of_bundle,
)
word = _word(default="alexa", help="The wake word: words/NAME.toml, a .toml file, or a bundle.")
words = _word(
    "words",
    default=["alexa"],
    multiple=True,
    help="The wake word, or several in one program (repeat it).",
)
board = click.option(
    "--board",
    type=BOARD,
    default="mps2-an386",
    show_default=True,
    metavar="NAME",
    help="The board: boards/NAME/.",
)
model = click.option(
    "--model",
    type=FOLDER,
    metavar="FOLDER",
    is_eager=True,  # before --word
    callback=_model_folder,
    help="Trained model, or a bundle, with its word.  [default: models/WORD]",
)
verifier = click.option(
    "--verifier",
    type=FOLDER,
    metavar="FOLDER",
    help="Trained verifier.  [default: verifier/ in that of --model]",
)
data = click.option(
    "--data",
    type=FOLDER,
    metavar="FOLDER",
    help="Recordings, with manifest.csv.  [default: data/WORD]",
)
also = click.option(
    "--also",
    type=FOLDER,
    multiple=True,
    metavar="FOLDER",
    help="Another data folder, used as well (may be repeated).",
)
split = click.option(
    "--split",
    default="dev",
    show_default=True,
    help="Split of the manifest; held-out: train's held-out voices.",
)
seed = click.option(
    "--seed", type=NATURAL, default=1, show_default=True, help="Of all random choices."
)
library = click.option(
    "--library",
    type=FILE,
    metavar="FILE",
    help="A built libwakestate.so.  [default: built here]",
)
state = click.option(
    "--state", metavar="KEY=VALUE,...", help="State of the device, as player=music,volume=high."
)

# As in convert/compile/kernels.py, which takes pydantic's time to load.
kernels = click.option(
    "--kernels",
    type=click.Choice(["plain", "dsp", "dsp-wide", "mve"]),
    default="plain",
    show_default=True,
    help="Instructions of the core: plain (any), dsp (M4, M7, M33), dsp-wide "
    "(the same, faster with twice the flash for weights), mve (M55).",
)
c_out = click.option(
    "--out", type=FOLDER, required=True, metavar="FOLDER", help="Where the C goes."
)


def table(function: Callable[..., Printed]) -> Callable[..., int]:
    """A command that prints a table, and with `--json` the same as JSON.

    Of JSON nothing else is on stdout: progress, notes and what other programs say go to stderr.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print JSON; all else goes to stderr.")
    @functools.wraps(function)
    def call(*arguments: Any, as_json: bool, **given: Any) -> int:
        if not as_json:
            made = function(*arguments, **given)
            print(made.text, end="" if made.text.endswith("\n") or not made.text else "\n")
            return made.status
        with contextlib.redirect_stdout(sys.stderr):
            made = function(*arguments, **given)
        print(json.dumps(made.data, default=str))
        return made.status

    return call


def out(default: str) -> Decorator:
    """`--out`, the folder of results."""
    return click.option(
        "--out", type=FOLDER, metavar="FOLDER", help=f"Where results go.  [default: {default}]"
    )


def recipe_file(command: str, default: str | None = None) -> Decorator:
    """`--recipe`: values of the other options of a command, from a file; what the command line
    gives goes before them."""

    def read(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        if value is None or ctx.resilient_parsing:
            return
        from wakestate.train.experiments.recipe import find, load

        multiple = {one.name for one in ctx.command.params if getattr(one, "multiple", False)}
        ctx.default_map = {
            name: " ".join(map(str, given))
            if isinstance(given, tuple) and name not in multiple
            else given
            for name, given in load(find(value), command).items()
        }

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        from wakestate.train.experiments.recipe import names

        return [name for name in names() if name.startswith(incomplete)]

    return click.option(
        "--recipe",
        is_eager=True,
        expose_value=False,
        callback=read,
        shell_complete=complete,
        metavar="NAME|FILE",
        default=default,
        show_default=default is not None,
        help="Values of the options, from train/recipes/NAME.toml or a .toml file; options on "
        "the command line override them.",
    )


def executor(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--executor` and `--store`: where the work runs. They go into the environment, so that the
    commands that this one starts have them; results and recipes do not depend on them."""
    from wakestate.train.address import EXECUTOR, STORE, checked

    def keeping(name: str, check: Callable[[str], str]) -> Callable[..., None]:
        def keep(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
            if value is None or ctx.resilient_parsing:
                return
            try:
                ctx.meta[name] = check(value)
            except ValueError as error:
                raise click.BadParameter(str(error)) from None

        return keep

    @functools.wraps(function)
    def call(*arguments: Any, **given: Any) -> Any:
        meta = click.get_current_context().meta
        os.environ.update({name: meta[name] for name in (EXECUTOR, STORE) if name in meta})
        return function(*arguments, **given)

    decorated: Callable[..., Any] = call
    for option in (
        click.option(
            "--store",
            metavar="URL",
            envvar=STORE,
            expose_value=False,
            callback=keeping(STORE, str),
            help="Where a cluster's workers get files that they do not have at the same path, and "
            "where results stay for other machines: s3://BUCKET/FOLDER, file:///FOLDER or another "
            "URL of fsspec.",
        ),
        click.option(
            "--executor",
            metavar="ADDRESS",
            envvar=EXECUTOR,
            expose_value=False,
            callback=keeping(EXECUTOR, checked),
            help="Where the work runs: dask://HOST:PORT, ray://HOST:PORT "
            "(docs/scale.md).  [default: processes of this machine]",
        ),
    ):
        decorated = option(decorated)
    return decorated


def keep_recipe(run: Path, command: str, **changed: Any) -> None:
    """Write RUN/recipe.toml: how to make it again; RecipeError where another one began it.

    Of the options of the command that runs, and of what it `changed`.
    """
    from wakestate.train.experiments.recipe import keep

    given = click.get_current_context().params | changed
    if isinstance(given.get("word"), WordFile):
        given["word"] = given["word"].given
    for name in ("variants", "kinds", "windows", "seeds"):
        if name in given and command.endswith("experiment"):
            values = given[name].split()
            given[name] = [int(v) for v in values] if name == "seeds" else values
    keep(run, command, given)


def data_folder(given: Path | None, word: WordFile) -> Path:
    """`--data`, or its default."""
    return given or Path("data") / word.name


def verifier_folder(word: WordFile, model: Path | None, given: Path | None) -> Path:
    """`--verifier`, or its default."""
    return given or (model or word.model) / "verifier"


def trained_verifier(word: WordFile, model: Path | None, given: Path | None) -> Path:
    """That folder; GatewayError where no verifier is in it."""
    from wakestate.verify.protocol.errors import GatewayError
    from wakestate.verify.service.serving import missing

    folder = verifier_folder(word, model, given)
    problem = missing(word.name, folder)
    if problem:
        raise GatewayError(problem)
    return folder


def progress(length: int, what: str) -> Any:
    """A bar with the time left, on stderr; `update(n)` after n of `length`."""
    return click.progressbar(length=length, label=what, file=sys.stderr, show_pos=True)


def subprocess_stdout() -> int | None:
    """Where other programs print: stderr, while `table` keeps stdout for JSON."""
    return 2 if sys.stdout is sys.stderr else None


def other_process(*arguments: str, tensorflow: bool = False) -> None:
    """A command in a process of its own, `tensorflow`: whatever backend trains; it reports what is
    wrong, and ends us."""
    backend = {"KERAS_BACKEND": "tensorflow"} if tensorflow else {}
    to = subprocess_stdout()
    call = [sys.executable, "-m", "wakestate", *arguments]
    done = subprocess.run(call, env={**os.environ, **backend}, stdout=to, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def needs(extra: str) -> Decorator:
    """Say what to install where a package of the extra is missing."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any, **given: Any) -> Any:
            try:
                return function(*arguments, **given)
            except ModuleNotFoundError as error:
                missing = (error.name or "").partition(".")[0]
                if missing in ("", "wakestate"):
                    raise
                raise UserError(
                    f"{missing}: not installed; pip install 'wakestate[{extra}]'"
                ) from None

        return call

    return decorate
