# SPDX-License-Identifier: Apache-2.0
"""The program `wakestate`: wakestate NOUN VERB, and short names for what is done daily."""

from __future__ import annotations

import sys

import click

from wakestate import __version__
from wakestate.commands import (
    bench,
    board,
    bundle,
    data,
    evaluate,
    export,
    gateway,
    model,
    program,
    service,
    train,
    verifier,
    web,
    word,
)
from wakestate.errors import UserError

NOUNS = "All others, by noun (wakestate NOUN --help)"
SECTIONS: dict[str, tuple[click.Command, ...]] = {
    "Build and listen": (
        program.run,
        program.emulate,
        program.listen,
        program.qemu,
        program.build,
        program.size,
        program.flash,
        program.monitor,
        program.debug,
        model.compile_tflite,
        export.export,
    ),
    "Train": (train.train, evaluate.evaluate, evaluate.report),
    NOUNS: (
        word.word,
        data.data,
        model.model,
        bundle.bundle,
        board.board,
        bench.bench,
        verifier.verifier,
        gateway.gateway,
        service.service,
        web.web,
    ),
}


class _Sections(click.Group):
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                if title == NOUNS:
                    formatter.write_text(" ".join(c.name or "" for c in commands))
                else:
                    formatter.write_dl([(c.name or "", c.get_short_help_str(68)) for c in commands])


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from wakestate.convert.emit import ENGINE_SCHEMA

    click.echo(f"wakestate {__version__}, generated C of schema {ENGINE_SCHEMA}")
    ctx.exit()


@click.group(
    cls=_Sections,
    epilog="Example: wakestate emulate kitchen.wav",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Print the version, and the schema of generated C.",
)
def cli() -> None:
    """From a wake word and a board to firmware."""


for _commands in SECTIONS.values():
    for _command in _commands:
        cli.add_command(_command)


def main(arguments: list[str] | None = None) -> int:
    """Run one command: 0 done, 1 failed, 2 usage, 130 interrupted. What a user can correct is one
    line on stderr."""
    try:
        status = cli.main(arguments, prog_name="wakestate", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "wakestate"
        text = error.format_message()
        text = text if text.endswith("...") else text.removesuffix(".")
        _say(f"{text}; see {where} --help", lines=False)
        return 2
    except click.ClickException as error:
        _say(error.format_message(), lines=False)
        return 1
    except UserError as error:
        _say(str(error), lines=error.several_lines)
        return error.status
    except OSError as error:
        _say(str(error), lines=False)
        return 1
    except (click.Abort, KeyboardInterrupt):
        return 130


def _say(text: str, lines: bool) -> None:
    from wakestate.explain import one_line

    for line in text.split("\n") if lines else [text]:
        print(one_line(line), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
