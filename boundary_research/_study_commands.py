"""Commands on studies: start one, check its plan, run it, replicate it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

PROGRAM = "boundary-research"
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


def run(
    study: Annotated[Path, typer.Argument(help="study.yaml, or the folder that holds it.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write to.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="STAGE", help="Run again from this stage on.")
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Run this stage and what it needs.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Run every stage again.")] = False,
    cache: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Keep results of stages for the next run.")
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say which stages would run, and why; run none.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Run a study: agreement, classifier, corrected estimates, figures and report.

    Only what changed since the last run is computed again.
    """
    from boundary_research._checks import DataError
    from boundary_research.study.run import describe_states, preview_run, run_study

    if force and start is not None:
        raise DataError("--force runs every stage again; leave it out, or leave --from out.")
    first = "incidents" if force else start
    if dry_run:
        states = preview_run(study, output=output, start=first, only=only, use_cache=cache)
        typer.echo(describe_states(states))
        return
    run_study(study, output=output, progress=not quiet, use_cache=cache, start=first, only=only)


def archive(
    study: Annotated[Path, typer.Argument(help="study.yaml, or its folder, after a run.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Zip file to write; by default STUDY.zip.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Output folder of the run, if not where the plan says.")
    ] = None,
    include_narratives: Annotated[
        bool,
        typer.Option(
            "--include-narratives",
            help="The narratives may go in: all who will receive the file may read them.",
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Put a study with its inputs and results into one file that can be replicated."""
    from boundary_research.study.archive import archive_study, describe_archive

    folder = study.expanduser().resolve()
    folder = folder.parent if folder.is_file() else folder
    path = archive_study(
        study,
        output or Path(f"{folder.name}.zip"),
        results=results,
        include_narratives=include_narratives,
    )
    if not quiet:
        typer.echo(as_called(describe_archive(path)))


def replicate(
    study: Annotated[
        Path, typer.Argument(help="Folder with study.yaml and its output, or an archive (.zip).")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the verdicts.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Published results, if not where the plan says.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Run with another seed, to see what depends on it.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Run a study again and compare every number: exit code 0, 1 (differs) or 2 (not run)."""
    from boundary_research.study.replication import replicate as replicate_study

    replication = replicate_study(
        study, output=output, results=results, seed=seed, progress=not quiet
    )
    if not quiet:
        typer.echo(replication.summary)
    if not replication.holds:
        raise typer.Exit(1)


def new_study(
    name: Annotated[str, typer.Argument(help="Folder to make.")],
    incidents: Annotated[
        Path | None, typer.Option(help="Table (or folder of documents) of incidents; copied.")
    ] = None,
    from_coding: Annotated[
        Path | None,
        typer.Option(help="Folder with sample, codings and gold, as 'gold' writes it; copied."),
    ] = None,
    codebook: Annotated[Path | None, typer.Option(help="A codebook of your own; copied.")] = None,
    example: Annotated[
        bool, typer.Option("--example", help="Copy the example study, which can be run at once.")
    ] = False,
    id_column: Annotated[str, typer.Option(help="Column with the unique id.")] = "incident_id",
    text_column: Annotated[str, typer.Option(help="Column with the narrative.")] = "narrative",
) -> None:
    """Start a study: a commented study.yaml, a pre-analysis plan, folders and a notebook."""
    from boundary_research.study.scaffold import create_study

    made = create_study(
        name,
        incidents=incidents,
        from_coding=from_coding,
        codebook=codebook,
        example=example,
        id_column=id_column,
        text_column=text_column,
    )
    typer.echo(f"Made {made.folder}. Data in {made.folder / 'data'} are never committed.")
    if incidents is None and not example:
        typer.echo(f"Put your incidents into {made.folder / 'data' / 'incidents.csv'}.")
    typer.echo("Next:")
    for command in made.commands:
        typer.echo(f"  {as_called(command)}")


def check_study(
    study: Annotated[Path, typer.Argument(help="study.yaml, or the folder that holds it.")],
    register: Annotated[
        bool, typer.Option("--register", help="Keep the plan as it is now in registered.yaml.")
    ] = False,
    document: Annotated[
        Path | None, typer.Option(help="Write the pre-analysis plan to this Markdown file.")
    ] = None,
    hashes: Annotated[
        bool, typer.Option("--hashes", help="Print the hashes of the inputs, for key sha256.")
    ] = False,
) -> None:
    """Say in plain words what a study plans, or all that is wrong with it, by line."""
    from boundary_research.study.plan_description import check_and_describe
    from boundary_research.study.pre_analysis_plan import write_pre_analysis_plan
    from boundary_research.study.registration import register_plan

    plan, text, problems = check_and_describe(study)
    for problem in problems:
        typer.echo(f"boundary-research: {' '.join(problem.split())}", err=True)
    if problems or plan is None:
        raise typer.Exit(2)
    typer.echo(text)
    if hashes:
        typer.echo(plan.hash_block())
    if document is not None:
        typer.echo(f"Wrote {write_pre_analysis_plan(plan, document)}.")
    if register:
        kept = register_plan(plan)
        typer.echo(f"Registered: {kept}. Runs are compared with it from now on.")


def report(
    results: Annotated[
        Path, typer.Argument(help="Output folder of a run, or the folder of its study.yaml.")
    ],
    formats: Annotated[
        str, typer.Option("--format", "-f", help="docx, pdf, latex, or several with commas.")
    ] = "docx",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write to; else the run's.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write the report of a run as Word document, PDF or LaTeX tables."""
    from boundary_research.study.documents import find_results, write_documents

    names = [name.strip() for name in formats.split(",") if name.strip()]
    for path in write_documents(find_results(results), formats=names, output=output):
        if not quiet:
            typer.echo(f"Wrote {path}.")


def as_called(command: str) -> str:
    """Return a command that can be pasted: with the program's path where it is not on PATH."""
    called = Path(sys.argv[0])
    if called.name != PROGRAM or shutil.which(PROGRAM):
        return command
    return command.replace(PROGRAM, str(called), 1)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("new-study")(new_study)
    app.command("check-study")(check_study)
    app.command("run")(run)
    app.command("report")(report)
    app.command("archive")(archive)
    app.command("replicate")(replicate)
