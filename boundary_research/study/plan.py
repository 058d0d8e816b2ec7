"""The plan of a study: study.yaml, read and checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boundary_research._checks import DataError, check_file
from boundary_research._yaml import YamlReader

_KEYS: dict[str, dict[str, tuple[type, ...]]] = {
    "": {
        "title": (str,),
        "notice": (str,),
        "seed": (int,),
        "codebook": (str,),
        "incidents": (dict,),
        "gold": (dict,),
        "classifier": (dict,),
        "prevalence": (dict,),
        "risk_factors": (dict,),
        "output": (str,),
    },
    "incidents": {
        "file": (str,),
        "id_column": (str,),
        "text_column": (str,),
        "columns": (dict,),
        "only": (str,),
        "recode": (dict,),
    },
    "gold": {
        "sample": (str,),
        "codings": (str,),
        "coders": (list,),
        "gold": (str,),
        "evidence": (str,),
    },
    "classifier": {"train_on": (str,), "folds": (int,), "groups": (str,)},
    "prevalence": {"by": (list,), "clusters": (str,)},
    "risk_factors": {
        "formula": (str,),
        "clusters": (str,),
        "family": (str,),
        "adjust": (str,),
        "term": (str,),
    },
}
_NEEDED = {
    "": ["title", "incidents", "gold"],
    "incidents": ["file"],
    "gold": ["sample", "gold"],
    "classifier": [],
    "prevalence": [],
    "risk_factors": ["formula"],
}
_GOLD_FILES = ("sample", "codings", "gold", "evidence")
_KINDS = {str: "text", int: "a whole number", list: "a list", dict: "a mapping of keys to values"}


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
    incidents, gold, classifier, prevalence, risk_factors : dict
        The parts of the file; `risk_factors` is empty where none were planned.
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

    @property
    def folder(self) -> Path:
        """The folder of study.yaml, from which its paths are read."""
        return self.file.parent

    def inputs(self) -> dict[str, Path]:
        """Return the input files by a short name."""
        files = {"study": self.file, "incidents": self.incidents["file"]}
        files |= {"only": self.incidents["only"]} if "only" in self.incidents else {}
        files |= {key: self.gold[key] for key in _GOLD_FILES if key in self.gold}
        files |= {"codebook": self.codebook} if self.codebook else {}
        model = self.classifier["train_on"]
        return files | ({"model": model} if isinstance(model, Path) else {})


def _check_part(reader: YamlReader, content: dict[str, Any], part: str) -> None:
    path = (part,) if part else ()
    known = _KEYS[part]
    for key, value in content.items():
        if key not in known:
            raise reader.fail((*path, key), f"unknown key. Allowed: {', '.join(known)}.")
        if not isinstance(value, known[key]):
            raise reader.fail((*path, key), f"must be {_KINDS[known[key][0]]}.")
    for key in _NEEDED[part]:
        if key not in content:
            raise reader.fail(path, f"key {key!r} is missing. Add it.")


def _check_recode(reader: YamlReader, recode: dict[str, Any]) -> None:
    for name, rule in recode.items():
        path = ("incidents", "recode", name)
        if not isinstance(rule, dict) or set(rule) != {"from", "levels"}:
            raise reader.fail(path, "must have the keys 'from' and 'levels'.")
        levels = rule["levels"]
        fits = isinstance(levels, dict) and all(isinstance(v, list) for v in levels.values())
        if not fits:
            raise reader.fail(
                (*path, "levels"), "must map each new level to a list of levels of the column."
            )


def load_plan(path: str | Path, *, output: str | Path | None = None) -> StudyPlan:
    """Read and check a study.yaml.

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
    file = Path(path).expanduser()
    file = file / "study.yaml" if file.is_dir() else file
    file = check_file(file, what="Study").resolve()
    reader = YamlReader(file.name, "Study")
    try:
        content = reader.read(file.read_text("utf-8-sig"))
    except UnicodeDecodeError:
        raise DataError(f"Study {file.name!r} is not UTF-8 text. Save it as UTF-8.") from None
    _check_part(reader, content, "")
    for part in ("incidents", "gold", "classifier", "prevalence", "risk_factors"):
        if part in content:
            _check_part(reader, content[part], part)
    _check_recode(reader, content["incidents"].get("recode", {}))

    def resolve(part: str, key: str) -> None:
        target = (file.parent / content[part][key]).resolve()
        if not target.exists():
            raise reader.fail((part, key), f"{content[part][key]!r} does not exist.")
        content[part][key] = target

    resolve("incidents", "file")
    for part, key in [("incidents", "only"), *(("gold", k) for k in _GOLD_FILES)]:
        if key in content[part]:
            resolve(part, key)
    book = content.get("codebook", "bundled")
    classifier = {"train_on": "gold", "folds": 5} | content.get("classifier", {})
    if classifier["train_on"] not in ("gold", "bundled"):
        content["classifier"] = classifier
        resolve("classifier", "train_on")
    chosen = Path(output) if output is not None else file.parent / content.get("output", "output")
    return StudyPlan(
        file=file,
        title=content["title"],
        seed=content.get("seed", 0),
        output=chosen,
        notice=content.get("notice", ""),
        codebook=None if book == "bundled" else (file.parent / book).resolve(),
        incidents=content["incidents"],
        gold=content["gold"],
        classifier=classifier,
        prevalence={"by": []} | content.get("prevalence", {}),
        risk_factors=content.get("risk_factors", {}),
    )
