"""The command line: parses, calls the public functions, and turns a DataError into one line."""

from __future__ import annotations

import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boundary_research._checks import DataError, check_choice, check_output_folder
from boundary_research._study_commands import Quiet, as_called, register

if TYPE_CHECKING:
    from boundary_research.codebook.model import Codebook

app = typer.Typer(
    name="boundary-research",
    help="Code incident narratives, run a study, and check what it rests on.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
codebook_app = typer.Typer(help="Look at a codebook.", no_args_is_help=True)
app.add_typer(codebook_app, name="codebook")

register(app)


@app.command()
def code(
    file: Annotated[
        Path, typer.Argument(help="CSV, TSV, Excel, JSON, Parquet, or a folder of documents.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")],
    id_column: Annotated[str, typer.Option(help="Column with the unique id.")] = "incident_id",
    text_column: Annotated[str, typer.Option(help="Column with the narrative.")] = "narrative",
    model: Annotated[
        Path | None, typer.Option(help="Model file (.npz, .zip); by default the bundled model.")
    ] = None,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast", help="Code with the n-gram part of the bundled model alone: less accurate."
        ),
    ] = False,
    codebook: Annotated[
        Path | None,
        typer.Option(help="Codebook for the report's labels; the model decides what is coded."),
    ] = None,
    format: Annotated[str, typer.Option(help="csv or parquet.")] = "csv",
    sheet: Annotated[str | None, typer.Option(help="Sheet of a workbook.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding of a text file.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="Delimiter of a text file.")] = None,
    show_text: Annotated[
        bool, typer.Option("--show-text", help="Put each passage into the evidence table.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad row.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Write over the codes of another file.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Code the narratives of a file: coded, evidence, rejects, manifest and report.

    Codes of the same file are replaced, those of another only with --replace.
    """
    from boundary_research._files import FORMATS
    from boundary_research.classifier.decisions import code as code_incidents
    from boundary_research.classifier.risk_control import describe_decisions
    from boundary_research.corpus.incidents import load_incidents
    from boundary_research.study import _coded_folder
    from boundary_research.study.manifest import write_manifest
    from boundary_research.study.report import write_coding_report

    started = datetime.now(UTC)
    check_choice(format, FORMATS, name="format")
    if fast and model is not None:
        raise DataError("--fast is about the bundled model; leave it out where --model is given.")
    file = file.expanduser()
    loaded = load_incidents(
        file,
        id_column=id_column,
        text_column=text_column,
        sheet=sheet,
        encoding=encoding,
        delimiter=delimiter,
        strict=strict,
    )
    folder = check_output_folder(output)
    _coded_folder.check_coded_folder(folder, file, replace=replace)
    classifier, described, trained = _open_model(model, fast=fast)
    book = _open_codebook(codebook, [str(name) for name in classifier.classes_], quiet=quiet)
    coding = code_incidents(loaded, classifier, progress=not quiet)
    if show_text:
        texts = loaded.incidents.set_index("incident_id")["narrative"]
        rows = coding.evidence.itertuples()
        coding.evidence["passage"] = [texts[row.incident_id][row.start : row.end] for row in rows]
    _coded_folder.remove_manifest(folder)
    coding.write(folder, format=format)
    _coded_folder.remove_other_formats(folder, format)
    write_coding_report(
        coding,
        folder,
        source=loaded.source,
        model_description=described,
        decisions_description=describe_decisions(classifier),
        codebook=book,
        format=format,
    )
    given = {"model": model, "codebook": codebook}
    write_manifest(
        folder,
        command=_coded_folder.COMMAND,
        inputs={"incidents": file} | {name: path for name, path in given.items() if path},
        options={"source": loaded.source, "model": trained, "format": format},
        started=started,
    )
    if not quiet:
        n, n_aside = coding.coded["incident_id"].nunique(), len(coding.rejects)
        typer.echo(
            f"{n} incident{'' if n == 1 else 's'} coded, "
            f"{n_aside} row{'' if n_aside == 1 else 's'} set aside: {folder / 'report.html'}"
        )


def _open_model(file: Path | None, *, fast: bool) -> tuple[Any, str, str]:
    """Return a model, a sentence on it for the report, and its name for the manifest."""
    from boundary_research.classifier.combined_model import load_classifier
    from boundary_research.classifier.default_model import default_classifier, default_model_id

    if file is not None:
        return load_classifier(file), f"Coded by the model file {file.name}.", file.name
    which = "the n-gram part of the bundled model" if fast else "the bundled model"
    described = (
        f"Coded by {which}. It was trained on fictional narratives that a language "
        "model wrote and coded, and has not been checked on your kind of text."
    )
    return default_classifier(fast=fast), described, default_model_id(fast=fast)


def _open_codebook(file: Path | None, categories: list[str], *, quiet: bool) -> Codebook | None:
    """Return the codebook that labels the model's categories, or None where no one does."""
    from boundary_research.codebook.model import load_codebook

    book = load_codebook(file)
    lacking = [name for name in categories if name not in book]
    if file is None:
        # Another codebook's category may have the name, but not the meaning, of a bundled one.
        return None if lacking else book
    if lacking and not quiet:
        typer.echo(
            f"boundary-research: note: codebook {book.id!r} lacks {len(lacking)} of the model's "
            f"{len(categories)} categories ({', '.join(lacking[:3])}"
            f"{', …' if len(lacking) > 3 else ''}); the report shows them by name. A codebook "
            f"gives labels; what is coded depends on the model.",
            err=True,
        )
    return book


@app.command("corpus-check")
def corpus_check() -> None:
    """Check the bundled corpus: counts, agreement, splits, leaks, keyword baseline."""
    from boundary_research.study.corpus_check import agreement_of_coders, check_corpus

    checks = check_corpus()
    typer.echo(
        checks.assign(holds=checks["holds"].map({True: "yes", False: "NO"})).to_string(index=False)
    )
    typer.echo("\nAgreement (Krippendorff's alpha, nominal); the coders are language models:")
    typer.echo(agreement_of_coders().round(3).to_string(index=False))
    if not checks["holds"].all():
        raise DataError("some checks of the corpus do not hold; see the rows marked NO.")


@app.command("new-coding")
def new_coding(
    file: Annotated[Path, typer.Argument(help="Table of incidents.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Store to make (.sqlite).")],
    coders: Annotated[str, typer.Option(help="Ids of the coders, separated by commas.")],
    n: Annotated[int, typer.Option("-n", help="How many narratives to draw for coding.")],
    adjudicator: Annotated[str, typer.Option(help="Id of the adjudicator.")] = "adjudicator",
    strata: Annotated[str | None, typer.Option(help="Column to stratify the draw by.")] = None,
    id_column: Annotated[str, typer.Option(help="Column with the unique id.")] = "incident_id",
    text_column: Annotated[str, typer.Option(help="Column with the narrative.")] = "narrative",
    codebook: Annotated[Path | None, typer.Option(help="A codebook of your own.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draw and of the order.")] = 0,
) -> None:
    """Draw a sample and make a store for blind coding; prints one link a person."""
    from boundary_research._files import write_table
    from boundary_research.codebook.model import load_codebook
    from boundary_research.coding.sampling import draw_simple, draw_stratified
    from boundary_research.coding.store import create_study_store
    from boundary_research.corpus.incidents import load_incidents

    incidents = load_incidents(file, id_column=id_column, text_column=text_column).incidents
    if strata is None:
        sample = draw_simple(incidents, n, random_state=seed)
    else:
        sample = draw_stratified(incidents, n, strata=strata, random_state=seed)
    check_output_folder(output.parent)
    names = [name.strip() for name in coders.split(",") if name.strip()]
    links = create_study_store(
        output,
        incidents,
        sample,
        load_codebook(codebook),
        names,
        adjudicators=[adjudicator],
        random_state=seed,
    )
    write_table(sample, output.with_suffix(".sample"))
    typer.echo(f"Store {output}; pass each link to its owner only:")
    for name, link in links.items():
        typer.echo(f"  {name}: {link}")
    typer.echo(as_called(f"Then run: boundary-research page {output}"))


@app.command()
def page(
    store: Annotated[Path, typer.Argument(help="Store made by new-coding.")],
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Port; 0 for any free one.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="PEM file for HTTPS.")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file for HTTPS.")] = None,
) -> None:
    """Serve the coding page of a store until it is interrupted."""
    from boundary_research.coding.page import DEFAULT_PORT, serve_page

    chosen = DEFAULT_PORT if port is None else port
    serve_page(store, host=host, port=chosen, certificate=certificate, key=key, announce=typer.echo)


@app.command()
def gold(
    store: Annotated[Path, typer.Argument(help="Store of a study that has been coded.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")],
) -> None:
    """Write a store's codings, gold codes and sample: what a study.yaml or prevalence needs."""
    from boundary_research._files import write_table
    from boundary_research.coding.store import CodingStore

    with CodingStore(store) as opened:
        codings = opened.codings()
        if codings.empty:
            raise DataError(
                f"Store {store.name!r} holds no submitted narrative yet. Code it first."
            )
        tables = {"codings": codings, "gold": opened.gold(), "sample": opened.sample()}
    folder = check_output_folder(output)
    for name, table in tables.items():
        typer.echo(write_table(table, folder / name))


@app.command()
def reliability(
    codings: Annotated[Path, typer.Argument(help="Table of codings, or a store.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")],
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
) -> None:
    """Measure the coders' agreement: tables with intervals, where they differ, a figure."""
    from boundary_research.study.agreement import write_agreement

    for path in write_agreement(codings, output, random_state=seed):
        typer.echo(path)


@codebook_app.command("check")
def codebook_check(file: Annotated[Path, typer.Argument(help="A codebook in YAML.")]) -> None:
    """Check a codebook of your own; errors name the key and the line."""
    from boundary_research.codebook.model import load_codebook

    book = load_codebook(file)
    typer.echo(
        f"{book.id} {book.version}: {len(book)} categories, {len(book.families)} families, "
        f"{len(book.attributes)} attributes; content hash {book.content_hash[:12]}"
    )


@codebook_app.command("print")
def codebook_print(
    output: Annotated[Path, typer.Option("--output", "-o", help="HTML file to write.")],
    file: Annotated[
        Path | None, typer.Argument(help="A codebook in YAML; else the bundled one.")
    ] = None,
) -> None:
    """Write a codebook as a page that coders can print."""
    from boundary_research.codebook.model import load_codebook

    check_output_folder(output.parent)
    typer.echo(load_codebook(file).write_page(output))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, or 2 with one line on standard error."""
    warnings.showwarning = _show_warning
    command: Any = typer.main.get_command(app)
    try:
        result = command.main(args=arguments, prog_name="boundary-research", standalone_mode=False)
    except DataError as error:
        print(f"boundary-research: {_one_line(str(error))}", file=sys.stderr)
        return 2
    except Exception as error:
        # Wrong options and arguments; anything else is a fault of ours and shows itself.
        if not hasattr(error, "format_message"):
            if type(error).__name__ == "Abort":
                print("boundary-research: stopped.", file=sys.stderr)
                return 130
            raise
        print(
            f"boundary-research: {_one_line(error.format_message())} Try boundary-research --help.",
            file=sys.stderr,
        )
        return 2
    return int(result) if isinstance(result, int) else 0


def _show_warning(message: Any, category: Any, *_: Any, **__: Any) -> None:
    print(f"boundary-research: note: {_one_line(str(message))}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
