# SPDX-License-Identifier: Apache-2.0
"""Bundles: a word and its model as one file."""

from __future__ import annotations

from pathlib import Path

import click

from wakestate.commands import options
from wakestate.commands.options import WordFile
from wakestate.tables import Printed


@click.group()
def bundle() -> None:
    """Bundles, a word and its model in one file: make, check."""


@bundle.command(epilog="Example: wakestate bundle make --word alexa --license Apache-2.0")
@options.word
@options.model
@click.option(
    "--license",
    "license_text",
    default="NOASSERTION",
    show_default=True,
    metavar="SPDX",
    help="Of the model, an SPDX expression.",
)
@click.option(
    "--key",
    type=options.FILE,
    metavar="FILE",
    help="Sign it with this private key: PEM, ed25519.",
)
@click.option(
    "--page/--no-page",
    default=True,
    help="With the engine for the page in the browser, which needs clang and lld.",
)
@options.out("this folder")
@options.needs("bundle")
def make(
    word: WordFile,
    model: Path | None,
    license_text: str,
    key: Path | None,
    page: bool,
    out: Path | None,
) -> None:
    """Write a word and its model as one file.

    The networks of all states, word file, thresholds, results, verifier, and hashes. The same
    model, and compiler for the page, give the same bytes. --word and --model of other commands take
    it.
    """
    from wakestate.commands.web import module
    from wakestate.convert.bundle import SUFFIX, make_bundle
    from wakestate.files import write_atomically

    path = (out or Path()) / f"{word.name}{SUFFIX}"
    built = module([word], model).read_bytes() if page else None
    write_atomically(path, make_bundle(word.path, model or word.model, license_text, key, built))
    print(path)


@bundle.command(epilog="Example: wakestate bundle check alexa.wakestate --key maker.pub.pem")
@click.argument("file", type=options.FILE)
@click.option(
    "--key", type=options.FILE, metavar="FILE", help="Whose signature it has: public key, PEM."
)
@options.table
@options.needs("bundle")
def check(file: Path, key: Path | None) -> Printed:
    """What is in a bundle, and whether it is whole.

    Its parts must fit together and compile."""
    from wakestate.convert.bundle import MODULE, VERIFIER, read_bundle

    found = read_bundle(file, key)
    options.bundled(file)
    about = found.contents
    signed = "signed, and the key fits" if key else "signed, by whom --key checks"
    lines = [
        f"word       {about.word}, '{about.phrase}'",
        f"states     {', '.join(found.word.states)}",
        f"front end  {found.word.frontend.kind} {about.frontend_hash[:12]}",
        f"license    {about.license}",
        f"page       {'yes' if MODULE in found.files else 'no'}",
        f"verifier   {'yes' if VERIFIER[0] in found.files else 'no'}",
        f"files      {len(found.files)}, {sum(map(len, found.files.values()))} bytes",
        f"signature  {signed if found.signed else 'none'}",
        f"sha256     {found.sha256}",
    ]
    return Printed("\n".join(lines), about.model_dump(mode="json") | {"sha256": found.sha256})
