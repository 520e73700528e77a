# SPDX-License-Identifier: Apache-2.0
"""`wakestate export`: each form's example gives the emulator's wakes, and its own test passes."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from tests.support.executors import CFLAGS, ROOT
from tests.support.firmware_build import build
from wakestate.__main__ import main
from wakestate.commands.export import FORMS as NAMES
from wakestate.convert.library.forms import FORMS

SAMPLE = ROOT / "models/alexa/sample.wav"
STUBS = ROOT / "tests/native/export"
CATEGORIES = (
    "Display,Communication,Signal Input/Output,Sensors,Device Control,Timing,Data Storage,"
    "Data Processing,Other"
)
Exported = Callable[[str], Path]


def run(*call: str | Path, cwd: Path, status: int = 0) -> str:
    done = subprocess.run(
        [str(part) for part in call], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The folder of a form, exported by the command."""

    @cache
    def export(form: str) -> Path:
        folder = tmp_path_factory.mktemp("export") / "wakestate"
        assert main(["export", "--word", "alexa", "--as", form, "--out", str(folder)]) == 0
        return folder

    return export


@pytest.fixture(scope="module")
def objects(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of the plain form, compiled."""
    out, folder = tmp_path_factory.mktemp("objects"), exported("plain")
    run("gcc", *CFLAGS, "-O1", f"-I{folder / 'include'}", "-c", *folder.glob("src/*.c"), cwd=out)
    return out


@pytest.fixture(scope="module")
def wakes() -> list[tuple[str, ...]]:
    """Time, start and end of what the emulator detects in the sample."""
    printed = build("alexa", "host", program="emulator").run("emulator", SAMPLE).stdout
    events = [json.loads(line) for line in printed.splitlines()]
    found = [tuple(f"{event[key]:.3f}" for key in ("t", "start", "end")) for event in events]
    assert len(found) >= 2
    return found


def printed_wakes(text: str, word: str = "alexa") -> list[tuple[str, ...]]:
    return re.findall(rf"([\d.]+) s  wake  {word}  word ([\d.]+)-([\d.]+)", text)


def example(form: str, folder: Path, objects: Path, out: Path) -> Path:
    """The example of a form, linked with the library, and what its system has replaced by what
    prints to the host."""
    layout = FORMS[form]
    (source,) = [p for p in (folder / layout.example).iterdir() if p.suffix in (".c", ".ino")]
    includes = [f"-I{folder / layout.headers}", f"-I{folder / layout.example}", f"-I{STUBS / form}"]
    own = [source, *(STUBS / form).glob("*.c*")]
    call = ["gcc", *CFLAGS]
    if source.suffix == ".ino":
        call = ["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-include", "Arduino.h"]
    run(
        *call,
        "-x",
        *(["c++"] if ".ino" in source.name else ["c"]),
        *includes,
        *own,
        "-x",
        "none",
        *objects.glob("*.o"),
        "-o",
        out,
        cwd=folder,
    )
    return out


def test_the_command_knows_every_form() -> None:
    folders = {path.name for path in (ROOT / "templates/export").iterdir() if path.is_dir()}
    assert tuple(FORMS) == NAMES and folders == set(FORMS)


@pytest.mark.parametrize("form", FORMS)
def test_it_is_whole_and_has_nothing_of_this_computer(form: str, exported: Exported) -> None:
    folder = exported(form)
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    listed = json.loads(files.pop("export.json").read_text())["files"]
    assert listed == {n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in files.items()}
    assert {"LICENSE", "README.md", f"{FORMS[form].test}/test.c"} <= set(files)
    if form not in ("plain", "arduino"):
        for kind in ("src", "include"):
            for path in (exported("plain") / kind).rglob("*.*"):
                assert files[path.relative_to(exported("plain")).as_posix()].read_bytes() == (
                    path.read_bytes()
                )
    for name, path in files.items():
        if path.suffix in (".wav", ".pack"):
            continue
        assert path.suffix != ".c" or name.startswith("src/") or "main" in name or "test" in name
        text = path.read_text()
        assert str(ROOT) not in text and str(Path.home()) + "/" not in text, name
        includes = re.findall(r'^#include "(.+)"$', text, re.MULTILINE)
        assert not any(".." in include for include in includes), name
        for include in set(includes) - {"esp_log.h"}:  # all that is included is there
            assert any(other.endswith(f"/{include}") for other in files), f"{name}: {include}"
        assert text.endswith("\n") and not text.endswith("\n\n"), name


@pytest.mark.parametrize("form", FORMS)
def test_the_example_gives_the_emulators_wakes(
    form: str,
    exported: Exported,
    objects: Path,
    wakes: list[tuple[str, ...]],
    tmp_path: Path,
) -> None:
    program = example(form, exported(form), objects, tmp_path / "wakes")
    given = [SAMPLE] if FORMS[form].reads_files else []
    assert printed_wakes(run(program, *given, cwd=tmp_path)) == wakes


@pytest.mark.parametrize("form", FORMS)
def test_its_own_test_passes(form: str, exported: Exported, objects: Path, tmp_path: Path) -> None:
    folder, layout = exported(form), FORMS[form]
    includes = [f"-I{folder / layout.headers}", f"-I{folder / layout.example}"]
    call = ["gcc", *CFLAGS, "-O1", *includes, folder / layout.test / "test.c"]
    run(*call, *objects.glob("*.o"), "-o", tmp_path / "check", cwd=folder)
    given = [SAMPLE] if layout.reads_files else []
    assert run(tmp_path / "check", *given, cwd=tmp_path).endswith(": all is well\n")
    if layout.reads_files:  # in which nobody says the word
        (tmp_path / "silence.pcm").write_bytes(bytes(64000))
        printed = run(tmp_path / "check", "silence.pcm", cwd=tmp_path, status=1)
        assert "FAILED: the recording has a wake" in printed


def test_the_plain_form_compiles_as_its_readme_says(
    exported: Exported, wakes: list[tuple[str, ...]], tmp_path: Path
) -> None:
    folder = tmp_path / "elsewhere"
    shutil.copytree(exported("plain"), folder)
    c = [path for path in folder.rglob("*") if path.suffix in (".c", ".h")]
    assert len(c) <= 8
    text = (folder / "README.md").read_text()
    for line in re.findall(r"^    (?:cc|\./\w+) .*$", text, re.MULTILINE):
        printed = run("sh", "-c", line.replace("-O2", "-O1"), cwd=folder)
        assert "-o" in line or printed_wakes(printed) == wakes or "all is well" in printed
    (folder / "main.cpp").write_text(
        '#include "ws_alexa.h"\nstatic WS_ENGINE(alexa) engine;\n'
        "int main() { return ws_init(&engine, &ws_alexa, nullptr); }\n"
    )
    call = ["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-Iinclude", "-fsyntax-only"]
    run(*call, "main.cpp", cwd=folder)


def test_recordings_that_the_example_refuses(
    exported: Exported, objects: Path, tmp_path: Path
) -> None:
    program = example("plain", exported("plain"), objects, tmp_path / "wakes")
    sample = SAMPLE.read_bytes()
    for content in (b"RIFF\0\0\0\0WAVE", sample[:24] + b"\x40\x1f" + sample[26:], sample[:30]):
        (tmp_path / "x.wav").write_bytes(content)
        done = subprocess.run(
            [program, tmp_path / "x.wav"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1 and done.stderr.count("\n") == 1, content[:40]
    (tmp_path / "x.pcm").write_bytes(sample[44:])  # bare samples
    assert run(program, "x.pcm", cwd=tmp_path) == run(program, SAMPLE, cwd=tmp_path)
    run(program, cwd=tmp_path, status=2)


@pytest.mark.skipif(not shutil.which("cmake"), reason="cmake is not installed")
def test_cmake_builds_installs_and_is_found(
    exported: Exported, wakes: list[tuple[str, ...]], tmp_path: Path
) -> None:
    folder = exported("cmake")
    run("cmake", "-S", folder, "-B", "build", "-DCMAKE_INSTALL_PREFIX=there", cwd=tmp_path)
    run("cmake", "--build", "build", cwd=tmp_path)
    run("ctest", "--test-dir", "build", cwd=tmp_path)
    assert printed_wakes(run("build/wakes", SAMPLE, cwd=tmp_path)) == wakes
    run("cmake", "--install", "build", "--prefix", tmp_path / "there", cwd=tmp_path)
    ways = {
        "found": "find_package(wakestate 0.1 CONFIG REQUIRED)",
        "fetched": "include(FetchContent)\n"
        f"FetchContent_Declare(wakestate SOURCE_DIR {folder})\n"
        "FetchContent_MakeAvailable(wakestate)",
    }
    for name, way in ways.items():
        user = tmp_path / name
        user.mkdir()
        shutil.copy(folder / "example/main.c", user)
        shutil.copy(folder / "example/recording.h", user)
        (user / "CMakeLists.txt").write_text(
            f"cmake_minimum_required(VERSION 3.14)\nproject(user C)\n{way}\n"
            "add_executable(user main.c)\ntarget_link_libraries(user wakestate::wakestate)\n"
        )
        run("cmake", ".", f"-DCMAKE_PREFIX_PATH={tmp_path / 'there'}", cwd=user)
        run("cmake", "--build", ".", cwd=user)
        assert (user / "user").is_file() and not (user / "_deps/wakestate-build/wakes").exists()


def test_two_words_share_the_kernels(wakes: list[tuple[str, ...]], tmp_path: Path) -> None:
    words = ["--word", "alexa", "--word", "computer"]
    assert main(["export", *words, "--out", str(tmp_path / "two")]) == 0
    call = ["gcc", *CFLAGS, "-O1", "-Iinclude", "-Iexample", *(tmp_path / "two/src").glob("*.c")]
    run(*call, "example/main.c", "-o", "wakes", cwd=tmp_path / "two")
    assert printed_wakes(run("./wakes", SAMPLE, cwd=tmp_path / "two")) == wakes
    symbols = run("nm", "wakes", cwd=tmp_path / "two")
    assert len(re.findall(r" [wW] ws_dot_", symbols)) == 1


def properties(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


def test_the_arduino_library_keeps_to_its_specification(exported: Exported, tmp_path: Path) -> None:
    folder = exported("arduino")
    found = properties(folder / "library.properties")
    required = "name version author maintainer sentence paragraph category url architectures"
    assert set(required.split()) <= set(found) and all(found.values())
    assert re.fullmatch(r"[A-Za-z0-9][\w .-]{0,62}", found["name"])
    assert not found["name"].lower().startswith("arduino")
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["version"])
    assert found["category"] in CATEGORIES.split(",")
    assert (folder / "src" / found["includes"]).is_file()
    assert {p.name for p in folder.iterdir() if p.is_dir()} == {"src", "examples", "extras"}
    compiled = [p for p in folder.rglob("*") if p.suffix in (".c", ".cpp", ".S")]
    assert all(p.parent == folder / "src" or folder / "extras" in p.parents for p in compiled)
    for sketch in (folder / "examples").iterdir():
        assert (sketch / f"{sketch.name}.ino").is_file()
    names = [p.name.lower() for p in (folder / "src").iterdir()]
    assert len(names) == len(set(names))  # where upper case is lower case
    for line in (folder / "keywords.txt").read_text().splitlines():
        assert re.fullmatch(r"\w+\t(KEYWORD1|KEYWORD2|LITERAL1)", line), line
    plain = exported("plain")
    for path in (folder / "src").glob("*.c"):
        text = path.read_text().replace('"wakestate_engine.h"', '"wakestate/wakestate.h"')
        assert text == (plain / "src" / path.name).read_text()
        run("gcc", *CFLAGS, "-fsyntax-only", path, cwd=tmp_path)


def test_the_platformio_manifest(exported: Exported) -> None:
    folder = exported("platformio")
    manifest = json.loads((folder / "library.json").read_text())
    assert re.fullmatch(r"[^/:;?]{1,100}", manifest["name"]) and len(manifest["description"]) < 255
    assert re.fullmatch(r"\d+\.\d+\.\d+", manifest["version"])
    assert all(re.fullmatch(r"[a-z][a-z0-9+ -]{1,49}", word) for word in manifest["keywords"])
    for header in manifest["headers"]:
        assert (folder / manifest["build"]["includeDir"] / header).is_file()
    assert list((folder / manifest["build"]["srcDir"]).glob("*.c"))
    for one in manifest["examples"]:
        assert all((folder / one["base"] / name).is_file() for name in one["files"])


def test_the_zephyr_module_names_what_is_there(exported: Exported) -> None:
    folder = exported("zephyr")
    module = yaml.safe_load((folder / "zephyr/module.yml").read_text())
    assert set(module) <= {"name", "build", "tests", "samples", "boards", "blobs"}
    assert (folder / module["build"].pop("cmake") / "CMakeLists.txt").is_file()
    assert (folder / module["build"].pop("kconfig")).is_file() and not module["build"]
    assert all(list((folder / name).glob("*/sample.yaml")) for name in module["samples"])
    for path in folder.rglob("*.yaml"):
        assert yaml.safe_load(path.read_text())["tests"]
    named = re.findall(r"\.\./(src/\w+\.c)", (folder / "zephyr/CMakeLists.txt").read_text())
    assert {folder / name for name in named} == set((folder / "src").iterdir())
    options = re.findall(r"^config (\w+)", (folder / "zephyr/Kconfig").read_text(), re.MULTILINE)
    used = re.findall(r"CONFIG_(WAKE\w+)", (folder / "zephyr/CMakeLists.txt").read_text())
    assert set(options) == set(used)
    assert "CONFIG_WAKESTATE=y" in (folder / "samples/wakes/prj.conf").read_text()


def test_the_esp_idf_component_names_what_is_there(exported: Exported) -> None:
    folder = exported("esp-idf")
    manifest = yaml.safe_load((folder / "idf_component.yml").read_text())
    assert manifest["version"] == "0.1.0" and manifest["dependencies"]["idf"]
    assert all((folder / one["path"] / "CMakeLists.txt").is_file() for one in manifest["examples"])
    text = (folder / "CMakeLists.txt").read_text()
    named = re.findall(r'"(src/.+)"', text)
    assert {folder / name for name in named} == set((folder / "src").iterdir())
    options = re.findall(r"config (\w+)", (folder / "Kconfig").read_text())
    assert set(options) == set(re.findall(r"CONFIG_(\w+)", text))
    main = folder / "examples/wakes/main"
    used = yaml.safe_load((main / "idf_component.yml").read_text())["dependencies"]["wakestate"]
    assert (main / used["path"]).resolve() == folder


def test_the_cmsis_pack_holds_what_it_names(exported: Exported) -> None:
    folder = exported("cmsis-pack")
    (described,) = folder.glob("*.pdsc")
    package = ElementTree.parse(described).getroot()
    wanted = ["vendor", "name", "description", "url", "license", "releases"]
    assert [element.tag for element in package][:6] == wanted and package.get("schemaVersion")
    vendor, name = (package.findtext(tag) for tag in ("vendor", "name"))
    release = package.find("releases/release")
    assert release is not None and described.name == f"{vendor}.{name}.pdsc"
    (pack,) = folder.glob("*.pack")
    assert pack.name == f"{vendor}.{name}.{release.get('version')}.pack"
    conditions = {one.get("id") for one in package.iter("condition")}
    for component in package.iter("component"):
        assert component.get("condition") in conditions and component.get("Cversion")
    with zipfile.ZipFile(pack) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    rest = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    assert set(inside) == set(rest) - {pack.name, "export.json"}
    assert all(content == rest[name].read_bytes() for name, content in inside.items())
    files = [str(file.get("name")) for file in package.iter("file")]
    assert all(any(n == f or (n.startswith(f) and f[-1] == "/") for n in inside) for f in files)
    assert {f for f in files if f.startswith("src/")} == {n for n in inside if n[:4] == "src/"}
