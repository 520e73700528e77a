# SPDX-License-Identifier: Apache-2.0
"""Recipes: read, overridden by the command line, written into the run, compared when it resumes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import click
import pytest

from tests.support.examples import typed_line
from tests.support.executors import ROOT
from wakestate.__main__ import cli, main
from wakestate.commands import experiment
from wakestate.tables import Printed
from wakestate.train.experiments import recipe
from wakestate.train.experiments.recipe import RECIPES, RecipeError, load, names

DOCS = "".join(path.read_text() for path in (ROOT / "docs").glob("**/*.md"))
POSITIONAL = {"word new": ["beep"]}


def command(name: str) -> click.Command:
    found: click.Command = cli
    for part in name.split():
        assert isinstance(found, click.Group)
        found = found.commands[part]
    return found


def parsed(name: str, *arguments: str) -> dict[str, Any]:
    with command(name).make_context(name, list(arguments)) as ctx:
        return dict(ctx.params)


@pytest.mark.parametrize("name", names())
def test_each_recipe_of_the_project_is_an_experiment_that_can_be_run(name: str) -> None:
    path = recipe.find(name)
    of = next(of for of in RECIPES if f'command = "{of}"' in path.read_text())
    params = parsed(of, "--recipe", name, *POSITIONAL.get(of, []))
    for key, value in load(path, of).items():
        if key == "word":
            assert params[key].name == value
        elif isinstance(value, tuple) and not isinstance(params[key], tuple):
            assert params[key] == " ".join(map(str, value))
        else:
            given = params[key]
            text = tuple(map(str, given)) if isinstance(given, tuple) else given
            assert str(text) == str(value)
    assert re.search(rf"wakestate {of} --recipe {name}\b(?!-)", DOCS)


def test_the_command_line_goes_before_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'command = "train"\nword = "computer"\nseed = 7\n[data]\nalso = ["a", "b"]\n'
        "[budget]\nrounds = 3\nrate = 0.5\n[measure]\nshort = true\n"
    )
    params = parsed("train", "--rounds", "5", "--recipe", str(path), "--also", "c")
    assert (params["rounds"], params["seed"], params["rate"]) == (5, 7, 0.5)
    assert params["word"].name == "computer" and params["short"] is True
    assert params["also"] == (Path("c"),) and params["batches"] == 500
    assert parsed("train", "--recipe", str(path))["also"] == (Path("a"), Path("b"))


@pytest.mark.parametrize("of", RECIPES)
def test_what_a_recipe_may_name_is_what_the_command_takes(of: str) -> None:
    options = {one.name: one for one in command(of).params}
    for key, field in RECIPES[of].model_fields.items():
        inner = getattr(field.annotation, "model_fields", {key: field})
        for name in inner if key != "command" else ():
            option = options[{"folder": "data"}.get(name, name)]
            if isinstance(option.type, click.Choice):
                (choices,) = get_args(inner[name].annotation)[:1]
                assert set(option.type.choices) == set(get_args(choices))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'command = "train"\n[budget]\nruonds = 3\n',
            "budget.ruonds: unknown key; allowed: amount",
        ),
        ('command = "train"\n[budget]\nrounds = "x"\n', "budget.rounds: given 'x'; allowed: "),
        ('command = "train"\nseed = -1\n', "seed: given -1; allowed: "),
        ("seed = 1\n", "command: missing; the key is required"),
        (
            'command = "model experiment"\n',
            "command: given 'model experiment'; this is `wakestate tr",
        ),
        ('command = "bake"\n', "command: given 'bake'; allowed: "),
        ("command = \n", "is no TOML: "),
    ],
)
def test_a_wrong_recipe_is_named_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert main(["train", "--recipe", str(path)]) == 1
    out, err = capsys.readouterr()
    assert not out and err.startswith(f"{path}: {message}") and err.count("\n") == 1


def test_an_unknown_recipe_names_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--recipe", "nothing"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("--recipe: nothing: no such recipe; give a .toml file or one of: alexa")
    assert err.count("\n") == 1


def test_an_experiment_runs_what_its_recipe_reports_and_refuses_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "wakestate.train.experiments.runs.train_all",
        lambda word, data, also, cache, place, jobs, **budget: calls.append(
            {"data": data, "also": also, "jobs": jobs} | budget
        ),
    )
    monkeypatch.setattr(experiment, "other_process", lambda *_, **__: None)
    monkeypatch.setattr(experiment, "convert", lambda *_: None)
    monkeypatch.setattr("wakestate.train.experiments.variants.table", lambda *_: shown)
    shown = Printed("the table", None)
    given = typed_line("model experiment --recipe metadata", {}, "--out", tmp_path)
    given += ["--variants", "none both"]
    assert main([*given, "--seeds", "4"]) == 0
    assert capsys.readouterr().out == "the table\n"
    assert calls.pop() == {
        "data": Path("../shared/data"),
        "also": (Path("data/alexa"),),
        "jobs": [("none", 4), ("both", 4)],
        "rounds": 10,
        "batches": 500,
        "amount": 0.5,
    }
    written = tmp_path / "recipe.toml"
    made = load(written, "model experiment")
    assert made["variants"] == ("none", "both") and made["seeds"] == (4,)
    assert made["data"] == "../shared/data" and made["rounds"] == 10 and made["word"] == "alexa"
    assert main(["model", "experiment", "--recipe", str(written), "--seeds", "4 5"]) == 0
    assert len(calls.pop()["jobs"]) == 4  # more seeds are no other experiment
    for option, text in (("--variants", "x"), ("--seeds", "one")):
        assert main([*given, option, text]) == 2
        assert f"{option}: given '{text}'; allowed: " in capsys.readouterr().err
    assert main([*given, "--rounds", "11"]) == 1
    err = capsys.readouterr().err
    assert err.startswith(
        f"{written}: budget.rounds: this run was started with 10, given 11; give the same, name "
    )
    assert err.count("\n") == 1


def test_a_written_recipe_is_read_as_it_was(tmp_path: Path) -> None:
    given = {"word": "alexa", "seed": 3, "data": Path('a "b"\\c'), "also": (Path("x"),)}
    given |= {"rounds": 2, "rate": 1e-05, "short": True, "out": None, "start": ()}
    recipe.keep(tmp_path, "train", given)
    again = load(tmp_path / "recipe.toml", "train")
    assert again == {
        key: (tuple(map(str, value)) if isinstance(value, tuple) else value)
        for key, value in (given | {"data": str(given["data"])}).items()
        if value not in (None, ())
    }
    recipe.keep(tmp_path, "train", given | {"data": Path("moved"), "short": False})
    with pytest.raises(
        RecipeError, match=r"recipe\.toml: seed: this run was started with 3, given"
    ):
        recipe.keep(tmp_path, "train", given | {"seed": 4})
