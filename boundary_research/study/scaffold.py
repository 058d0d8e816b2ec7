"""A new study: folders, a commented study.yaml, a notebook, and the commands that come next."""

from __future__ import annotations

import re
import shlex
import shutil
import tempfile
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from boundary_research._checks import DataError, check_file, check_output_folder
from boundary_research._files import write_text
from boundary_research._tables import check_table
from boundary_research.codebook.model import load_codebook
from boundary_research.corpus.bundled import data_folder
from boundary_research.corpus.incidents import load_incidents
from boundary_research.study._plan_checks import read_table
from boundary_research.study._plan_schema import SCHEMA_FILE
from boundary_research.study._templates import TEMPLATES, render_template
from boundary_research.study.plan import check_plan
from boundary_research.study.pre_analysis_plan import DOCUMENT, render_pre_analysis_plan

_GOLD = ("sample", "codings", "gold")
_CODERS = ("ana", "ben")
_MOST_LEVELS = 12
_N = 200


class NewStudy(NamedTuple):
    """What `create_study` made.

    Attributes
    ----------
    folder : pathlib.Path
    commands : list of str
        The commands that come next, in their order.
    """

    folder: Path
    commands: list[str]


@dataclass
class _Parts:
    """What the template of study.yaml is filled with."""

    title: str
    incidents: str = "data/incidents.csv"
    id_column: str = "incident_id"
    text_column: str = "narrative"
    columns: list[str] = field(default_factory=list)
    variable: str = "setting"
    cluster: str = ""
    codebook: str = "bundled                # or a file of your own"
    seed: int = 0
    n: int = _N
    sampling: dict[str, Any] = field(default_factory=dict)
    coders: list[str] = field(default_factory=lambda: list(_CODERS))
    adjudicator: str = "adjudicator"
    evidence: bool = False


def create_study(
    name: str | Path,
    *,
    incidents: str | Path | None = None,
    from_coding: str | Path | None = None,
    codebook: str | Path | None = None,
    example: bool = False,
    id_column: str = "incident_id",
    text_column: str = "narrative",
) -> NewStudy:
    """Make a folder for a new study.

    It holds a commented study.yaml with its schema, data/, a pre-analysis plan, a notebook, a
    README and a .gitignore that keeps data out of version control. Files that are named are copied
    into data/.

    Parameters
    ----------
    name : str or pathlib.Path
        The folder to make.
    incidents : path, optional
        The table (or folder of documents) of incidents. Without it a table with nothing but its
        header stands in its place.
    from_coding : path, optional
        A folder with sample, codings and gold, as ``boundary-research gold`` writes it.
    codebook : path, optional
        A codebook of your own.
    example : bool
        Copy the bundled example study with its inputs instead; it can be run at once.
    id_column, text_column : str
        The columns of `incidents` that hold the id and the narrative.

    Raises
    ------
    DataError
        If the folder exists, or a file cannot be used. Nothing is left behind then.
    """
    folder = Path(name).expanduser()
    if folder.exists() or folder.is_symlink():
        raise DataError(f"{str(name)!r} exists already. Choose another name for the study.")
    if example and any(given is not None for given in (incidents, from_coding, codebook)):
        raise DataError("--example brings its own data. Leave out the other files, or --example.")
    check_output_folder(folder.parent)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        made = Path(temporary) / folder.name
        (made / "data").mkdir(parents=True)
        (made / "notebooks").mkdir()
        if example:
            write_text(made / "study.yaml", _copy_example(made))
            quoted = shlex.quote(str(folder))
            commands = [f"boundary-research {verb} {quoted}" for verb in ("check-study", "run")]
        else:
            parts = _Parts(title=_title(folder.name), id_column=id_column, text_column=text_column)
            _add_incidents(parts, made, incidents)
            if codebook is not None:
                book = check_file(codebook, what="Codebook")
                load_codebook(book)
                shutil.copyfile(book, made / "codebook.yaml")
                parts.codebook = "codebook.yaml"
            if from_coding is not None:
                _add_coding(parts, made, Path(from_coding).expanduser())
            write_text(made / "study.yaml", _study_yaml(parts, coded=from_coding is not None))
            commands = _next_commands(parts, str(folder), coded=from_coding is not None)
        _write_rest(made, commands)
        made.rename(folder)
    return NewStudy(folder, commands)


def _title(name: str) -> str:
    words = re.sub(r"[-_]+", " ", name).strip() or "A study"
    return words[:1].upper() + words[1:]


def _add_incidents(parts: _Parts, folder: Path, source: str | Path | None) -> None:
    """Copy the incidents and note their columns."""
    if source is None:
        header = f"{parts.id_column},{parts.text_column},agency_id,{parts.variable}\n"
        write_text(folder / parts.incidents, header)
        return
    file = Path(source).expanduser()
    loaded = load_incidents(file, id_column=parts.id_column, text_column=parts.text_column)
    table = loaded.incidents
    target = folder / "data" / (file.name or file.resolve().name)
    if target.stem in (*_GOLD, "evidence"):
        target = target.with_name(f"incidents{target.suffix}")
    if file.is_dir():
        shutil.copytree(file, target)
        parts.id_column, parts.text_column = "incident_id", "narrative"
    else:
        shutil.copyfile(file, target)
    parts.incidents = f"data/{target.name}"
    others = table.drop(columns=["incident_id", "narrative"])
    told = f"Columns there are: {', '.join(map(str, others.columns[:40]))}."
    parts.columns = textwrap.wrap(told, 90) if len(others.columns) else []
    levels = others.nunique()
    usable = [
        str(column)
        for column in others.columns
        if 2 <= levels[column] <= _MOST_LEVELS
        and str(column).isidentifier()
        and not str(column).endswith("_id")
    ]
    parts.variable = usable[0] if usable else parts.variable
    if "agency_id" in others.columns and _is_full(others["agency_id"]):
        parts.cluster = "agency_id"
    parts.n = min(_N, len(table))


def _is_full(values: pd.Series) -> bool:
    return bool(values.notna().all() and (values.astype(str).str.strip() != "").all())


def _add_coding(parts: _Parts, folder: Path, source: Path) -> None:
    """Copy the tables of human codes and note design and coders."""
    if not source.is_dir():
        raise DataError(
            f"--from-coding {str(source)!r} is not a folder. Write the tables of a store with: "
            f"boundary-research gold STORE -o FOLDER"
        )
    tables = {}
    for name in _GOLD:
        file = check_file(source / f"{name}.csv", what="Table of human codes")
        tables[name] = check_table(read_table(file), name, source=file.name)
        shutil.copyfile(file, folder / "data" / file.name)
    if (source / "evidence.csv").is_file():
        shutil.copyfile(source / "evidence.csv", folder / "data" / "evidence.csv")
        parts.evidence = True
    sample = tables["sample"]
    parts.n = len(sample)
    parts.coders = sorted(tables["codings"]["coder_id"].unique())
    parts.adjudicator = ""
    if "source" in tables["gold"].columns and (tables["gold"]["source"] == "adjudicated").any():
        parts.adjudicator = "adjudicator"
    told = str(sample["design"].iloc[0]) if "design" in sample.columns else ""
    probability = sample["inclusion_probability"]
    parts.sampling = {"design": "simple" if probability.nunique() == 1 else "other"}
    for design in ("stratified", "clusters", "two_phase"):
        if told.startswith(design):
            parts.sampling = {"design": design, "strata_wanted": design == "stratified"}
    for allocation in ("proportional", "equal", "neyman"):
        if told == f"stratified_{allocation}":
            parts.sampling["allocation"] = allocation
    if (probability == 1).all():
        parts.sampling = {"design": "all"}


def _study_yaml(parts: _Parts, *, coded: bool) -> str:
    sampling = {"design": "simple", "allocation": None, "strata_wanted": False, "n": parts.n}
    # The seed of a draw that was made elsewhere is not known.
    sampling |= {"seed": None if coded else parts.seed} | parts.sampling
    values = {key: value for key, value in vars(parts).items() if key not in ("sampling", "n")}
    return render_template("study.yaml.j2", sampling=sampling, **values)


def _next_commands(parts: _Parts, name: str, *, coded: bool) -> list[str]:
    folder = shlex.quote(name)
    prefix = f"boundary-research {{}} {folder}"
    commands = []
    if not coded:
        file, store = (
            shlex.quote(f"{name}/{end}") for end in (parts.incidents, "data/coding.sqlite")
        )
        options = f"-o {store} --coders {','.join(parts.coders)} -n {parts.n} --seed {parts.seed}"
        if parts.id_column != "incident_id":
            options += f" --id-column {shlex.quote(parts.id_column)}"
        if parts.text_column != "narrative":
            options += f" --text-column {shlex.quote(parts.text_column)}"
        if parts.codebook == "codebook.yaml":
            options += f" --codebook {shlex.quote(f'{name}/codebook.yaml')}"
        data = shlex.quote(f"{name}/data")
        commands = [
            f"# write the plan: {folder}/study.yaml and {folder}/{DOCUMENT}",
            prefix.format("check-study"),
            prefix.format("check-study") + " --register",
            f"boundary-research new-coding {file} {options}",
            f"boundary-research page {store}",
            f"boundary-research gold {store} -o {data}",
        ]
    else:
        commands = [f"# write the plan: {folder}/study.yaml and {folder}/{DOCUMENT}"]
    return [*commands, prefix.format("check-study"), prefix.format("run")]


def _copy_example(folder: Path) -> str:
    """Copy the inputs of the example study into data/, and return its study.yaml with new paths."""
    source = data_folder() / "example_study"
    text = (source / "study.yaml").read_text("utf-8")
    pattern = re.compile(r"(?m)^(\s+\w+: )((?:\.\./corpus/)?(\w+\.csv))\b")
    for _, path, name in pattern.findall(text):
        shutil.copyfile(source / path, folder / "data" / name)
    shutil.copyfile(data_folder() / "corpus" / "LICENSE.md", folder / "data" / "LICENSE.md")
    text = re.sub(r"\A(#.*\n)+", "", text)
    head = (
        "# yaml-language-server: $schema=study.schema.json\n"
        "# The example study: every step on the bundled fictional corpus.\n"
    )
    return head + pattern.sub(r"\1data/\3", text)


def _write_rest(folder: Path, commands: list[str]) -> None:
    """Write everything that is the same for every study, and what follows from study.yaml."""
    shutil.copyfile(SCHEMA_FILE, folder / SCHEMA_FILE.name)
    write_text(folder / ".gitignore", (TEMPLATES / "gitignore").read_text("utf-8"))
    write_text(folder / "data" / "README.md", (TEMPLATES / "data_readme.md").read_text("utf-8"))
    shutil.copyfile(TEMPLATES / "study.ipynb", folder / "notebooks" / "study.ipynb")
    checked = check_plan(folder)
    if checked.plan is None:
        raise DataError(checked.problems[0])
    write_text(folder / DOCUMENT, render_pre_analysis_plan(checked.plan))
    write_text(
        folder / "README.md", render_template("README.md.j2", plan=checked.plan, commands=commands)
    )
