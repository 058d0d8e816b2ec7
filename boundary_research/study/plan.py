"""The plan of a study: study.yaml, read and checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boundary_research._checks import DataError, check_file
from boundary_research._files import hash_file
from boundary_research._yaml import YamlReader
from boundary_research.codebook.model import Codebook
from boundary_research.study import _plan_checks as checks
from boundary_research.study._plan_parts import fill_defaults, relative_content
from boundary_research.study._plan_schema import check_schema, coerce
from boundary_research.study.registration import REGISTERED, Registration, read_registration

# What of an analysis is handed to `risk_factors`.
_ARGUMENTS = ("family", "contrasts", "offset", "adjust", "missing")


@dataclass(frozen=True)
class StudyPlan:
    """A checked study.yaml; every path is absolute.

    Attributes
    ----------
    file, folder, output : pathlib.Path
    title, notice : str
        The notice is shown on every page (fictional data say so there).
    seed : int
    codebook : pathlib.Path or None
        None for the bundled one.
    incidents, gold, classifier, prevalence : dict
        The parts of the file; `classifier` and `prevalence` with their defaults.
    risk_factors : dict
        The first analysis of risk factors; empty where none was planned.
    analyses : tuple of dict
        All analyses of risk factors, each with name, formula, family, adjust and missing, and
        what else the file says. `risk_factor_arguments` turns one into keyword arguments.
    sampling : dict
    coders : tuple of dict
        id, kind, role, training.
    comparisons : tuple of dict
        The registered ones: variable, level, reference, analysis, description.
    negative_control, multiple_testing, tolerances : dict
    question, missing_data, overturned_by, licence : str
    authors : tuple of str
    content : dict
        study.yaml as it stands, as plain data.
    codebook_facts : dict
        id, version, sha256 and categories of the codebook.
    registration : Registration or None
        The plan that was registered before, from ``registered.yaml`` beside study.yaml.
    pending : tuple of str
        Gold tables that are not there yet; never any in what `load_plan` returns.
    """

    file: Path
    title: str
    seed: int
    output: Path
    notice: str = ""
    codebook: Path | None = None
    incidents: dict[str, Any] = field(default_factory=dict)
    gold: dict[str, Any] = field(default_factory=dict)
    classifier: dict[str, Any] = field(default_factory=dict)
    prevalence: dict[str, Any] = field(default_factory=dict)
    risk_factors: dict[str, Any] = field(default_factory=dict)
    analyses: tuple[dict[str, Any], ...] = ()
    sampling: dict[str, Any] = field(default_factory=dict)
    coders: tuple[dict[str, Any], ...] = ()
    comparisons: tuple[dict[str, Any], ...] = ()
    negative_control: dict[str, Any] = field(default_factory=dict)
    multiple_testing: dict[str, Any] = field(default_factory=dict)
    tolerances: dict[str, Any] = field(default_factory=dict)
    question: str = ""
    missing_data: str = ""
    overturned_by: str = ""
    licence: str = ""
    authors: tuple[str, ...] = ()
    content: dict[str, Any] = field(default_factory=dict)
    codebook_facts: dict[str, Any] = field(default_factory=dict)
    registration: Registration | None = None
    pending: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder of study.yaml, from which its paths are read."""
        return self.file.parent

    def inputs(self) -> dict[str, Path]:
        """Return the input files by a short name."""
        files = {"study": self.file, "incidents": self.incidents["file"]}
        files |= {"only": self.incidents["only"]} if "only" in self.incidents else {}
        files |= {key: self.gold[key] for key in checks.GOLD_FILES if key in self.gold}
        files |= {"codebook": self.codebook} if self.codebook else {}
        model = self.classifier["train_on"]
        return files | ({"model": model} if isinstance(model, Path) else {})

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON-ready data, without absolute paths."""
        return relative_content(self.content)

    def hash_block(self) -> str:
        """Return the hashes of the inputs that are there as the part ``sha256`` of study.yaml."""
        files = {name: file for name, file in self.inputs().items() if name != "study"}
        rows = [f"  {name}: {hash_file(file)}" for name, file in files.items() if file.exists()]
        return "\n".join(["sha256:", *rows])

    def risk_factor_arguments(self, analysis: dict[str, Any]) -> dict[str, Any]:
        """Return the keyword arguments of `risk_factors` for one of `analyses`.

        The formula, the tables and the random state are not among them.
        """
        given = {key: analysis[key] for key in _ARGUMENTS if key in analysis}
        return {"clusters": analysis.get("clusters"), **given}


@dataclass(frozen=True)
class PlanCheck:
    """What `check_plan` found.

    Attributes
    ----------
    file : pathlib.Path
    plan : StudyPlan or None
        None where there are problems.
    problems : list of str
        Every problem of the file, by line.
    reader : YamlReader
        Knows the line of every key.
    """

    file: Path
    plan: StudyPlan | None
    problems: list[str]
    reader: YamlReader


def check_plan(path: str | Path, *, output: str | Path | None = None) -> PlanCheck:
    """Check a study.yaml and return all of its problems, not the first only.

    Gold tables may still be to come: a plan can be checked before anything was coded.

    Parameters
    ----------
    path, output
        As for `load_plan`.

    Raises
    ------
    DataError
        If the file is not there or is not YAML.
    """
    file = Path(path).expanduser()
    if file.is_dir() and not (file / "study.yaml").exists():
        raise DataError(
            f"Folder {str(path)!r} holds no study.yaml. Make a study with boundary-research "
            f"new-study, or name the file."
        )
    file = file / "study.yaml" if file.is_dir() else file
    file = check_file(file, what="Study").resolve()
    reader = YamlReader(file.name, "Study")
    try:
        content = coerce(reader.read(file.read_text("utf-8-sig")))
    except UnicodeDecodeError:
        raise DataError(f"Study {file.name!r} is not UTF-8 text. Save it as UTF-8.") from None
    problems = checks.Problems(reader)
    check_schema(content, problems.note)
    files, pending = checks.find_files(content, file.parent, problems)
    checks.check_hashes(content, files, problems)
    book = checks.check_codebook(content, files, problems)
    checks.check_recode(content, problems)
    checks.check_coders(content, problems)
    checks.check_analyses(content, problems)
    checks.check_comparisons(content, book, problems)
    checks.check_sample(content, files, problems)
    registration = None
    if (file.parent / REGISTERED).exists():
        registration = read_registration(file.parent / REGISTERED)
    if len(problems) or book is None:
        return PlanCheck(file, None, problems.messages, reader)
    plan = _build(file, content, files, pending, book, registration, output)
    return PlanCheck(file, plan, [], reader)


def _build(
    file: Path,
    content: dict[str, Any],
    files: dict[tuple[str, ...], Path],
    pending: list[tuple[str, ...]],
    book: Codebook,
    registration: Registration | None,
    output: str | Path | None,
) -> StudyPlan:
    parts = fill_defaults(content)
    incidents, gold = dict(content["incidents"]), dict(content["gold"])
    for (part, *rest), target in files.items():
        if part in ("incidents", "gold"):
            (incidents if part == "incidents" else gold)[rest[0]] = target
    for _, key in pending:
        gold[key] = (file.parent / content["gold"][key]).resolve()
    if ("classifier", "train_on") in files:
        parts["classifier"]["train_on"] = files["classifier", "train_on"]
    chosen = Path(output) if output is not None else file.parent / content.get("output", "output")
    return StudyPlan(
        file=file,
        title=content["title"],
        seed=parts["seed"],
        output=chosen,
        notice=content.get("notice", ""),
        codebook=files.get(("codebook",)),
        incidents=incidents,
        gold=gold,
        classifier=parts["classifier"],
        prevalence=parts["prevalence"],
        risk_factors=parts["analyses"][0] if parts["analyses"] else {},
        analyses=parts["analyses"],
        sampling=parts["sampling"],
        coders=parts["coders"],
        comparisons=parts["comparisons"],
        negative_control=parts["negative_control"],
        multiple_testing=parts["multiple_testing"],
        tolerances=parts["tolerances"],
        question=content.get("question", ""),
        missing_data=content.get("missing_data", ""),
        overturned_by=content.get("overturned_by", ""),
        licence=content.get("licence", ""),
        authors=tuple(content.get("authors", ())),
        content=content,
        codebook_facts={
            "id": book.id,
            "version": book.version,
            "sha256": book.content_hash,
            "categories": book.category_ids,
        },
        registration=registration,
        pending=tuple(key for _, key in pending),
    )


def load_plan(path: str | Path, *, output: str | Path | None = None) -> StudyPlan:
    """Read and check a study.yaml that is to be run.

    Parameters
    ----------
    path : str or pathlib.Path
        The file, or the folder that holds a ``study.yaml``.
    output : str or pathlib.Path, optional
        Another output folder than the file names (``output`` beside it by default).

    Raises
    ------
    DataError
        Naming the key and the line of what does not fit, or an input file that is not there.
    """
    checked = check_plan(path, output=output)
    if checked.plan is None:
        first, *rest = checked.problems
        more = f" And {len(rest)} more; boundary-research check-study lists them all."
        raise DataError(first + (more if rest else ""))
    if checked.plan.pending:
        key = checked.plan.pending[0]
        raise checked.reader.fail(
            ("gold", key),
            f"{checked.plan.content['gold'][key]!r} does not exist. Code the sample first, then "
            f"write the gold tables with boundary-research gold.",
        )
    return checked.plan
