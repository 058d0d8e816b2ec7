"""Commands on studies: start one, check its plan, run it, replicate it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


def run(
    study: Annotated[Path, typer.Argument(help="study.yaml, or the folder that holds it.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write to.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Run a study: agreement, classifier, corrected estimates, figures and report."""
    from boundary_research.study.run import run_study

    run_study(study, output=output, progress=not quiet)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("run")(run)
