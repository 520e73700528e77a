# SPDX-License-Identifier: Apache-2.0
"""The clusters of deploy/: their parts fit each other, and Dask takes their commands."""

from __future__ import annotations

import re
import shlex
import tomllib
from importlib import import_module
from typing import Any

import pytest
import yaml

from tests.support.executors import ROOT
from wakestate.train import executors

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
OBJECTS: dict[tuple[str, str], Any] = {
    (made["kind"], made["metadata"]["name"]): made
    for made in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
}


def container(name: str) -> Any:
    """That of a deployment."""
    (only,) = OBJECTS["Deployment", name]["spec"]["template"]["spec"]["containers"]
    return only


def test_workers_find_the_scheduler() -> None:
    assert COMPOSE["worker"]["command"][2] == "tcp://scheduler:8786" and "scheduler" in COMPOSE
    scheduler, worker = container("wakestate-scheduler"), container("wakestate-worker")
    service = OBJECTS["Service", "wakestate-scheduler"]["spec"]
    (port,) = service["ports"]
    assert worker["command"][2] == f"tcp://wakestate-scheduler:{port['port']}"
    (open_port,) = scheduler["ports"]
    assert port["targetPort"] == open_port["name"] and open_port["containerPort"] == port["port"]
    for command in (scheduler["command"], COMPOSE["scheduler"]["command"]):
        assert command[command.index("--port") + 1] == str(port["port"])
    labels = {}
    for name in ("wakestate-scheduler", "wakestate-worker"):
        spec = OBJECTS["Deployment", name]["spec"]
        labels[name] = spec["template"]["metadata"]["labels"]
        assert spec["selector"]["matchLabels"] == labels[name]
    policy = OBJECTS["NetworkPolicy", "wakestate"]["spec"]
    peers = policy["ingress"][0]["from"][0]["podSelector"]["matchLabels"]
    assert service["selector"] == labels["wakestate-scheduler"] != labels["wakestate-worker"]
    for each in labels.values():
        assert policy["podSelector"]["matchLabels"].items() <= each.items()
        assert peers.items() <= each.items()


def test_all_run_one_image_which_has_the_sources_that_workers_are_compared_by() -> None:
    build = COMPOSE["scheduler"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).samefile(DEPLOY / "Containerfile")
    images = {service["image"] for service in COMPOSE.values()}
    images |= {container(name)["image"] for kind, name in OBJECTS if kind == "Deployment"}
    assert len(images) == 1
    copied = set((DEPLOY / "Containerfile.dockerignore").read_text().splitlines())
    linked = {path.name for path in (ROOT / "wakestate").iterdir() if path.is_symlink()}
    assert set(executors._SOURCES) - {"contract"} <= linked
    assert {f"!{name}" for name in {*linked, "wakestate"} - {"models"}} <= copied


def commands() -> list[list[str]]:
    """Of the files, and of docs/scale.md."""
    named = [service["command"] for service in COMPOSE.values()]
    named += [container(name)["command"] for kind, name in OBJECTS if kind == "Deployment"]
    lines = re.findall(r"^    \.venv/bin/(dask (?:scheduler|worker) .*)$", SCALE, re.MULTILINE)
    assert len(lines) == 2
    return named + [shlex.split(line, comments=True) for line in lines]


SCALE = (ROOT / "docs/scale.md").read_text()


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_dask_takes_the_commands(command: list[str]) -> None:
    pytest.importorskip("distributed", reason="not installed: pip install 'wakestate[dask]'")
    assert command[0] == "dask"
    program = import_module(f"distributed.cli.dask_{command[1]}").main
    given = program.make_context(" ".join(command[:2]), command[2:]).params
    if command[1] == "worker":
        assert given["scheduler"].endswith(":8786") and given["nthreads"] == 1


def test_a_cluster_is_not_in_the_base_install() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[^\w-]", text)[0] for text in project["dependencies"]}
    assert "numpy" in names and not {"dask", "distributed", "fsspec", "ray"} & names
    for extra in ("dask", "ray"):
        assert any(text.startswith("fsspec>") for text in project["optional-dependencies"][extra])
