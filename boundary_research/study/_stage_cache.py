"""The cache of a run: results of stages under their content hash, and what each was made from."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from boundary_research._checks import DataError
from boundary_research._files import write_atomically, write_json, write_text
from boundary_research.classifier.combined_model import CombinedClassifier, load_classifier
from boundary_research.classifier.model import NarrativeClassifier
from boundary_research.study._plan_parts import hash_content

# Content is told by its kind: a table, a model, plain data, or the bytes of a file.
KINDS = {"table": "parquet", "model": "npz", "data": "json", "file": "bin"}
_MIXED = "mixed columns"
_TAG = """\
Signature: 8a477f597d28d172789f06886806bc55
# Results of the stages of a study. This folder can be removed; a run makes it anew.
"""


@dataclass(frozen=True)
class Part:
    """One result of a stage, as it is stored.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    sha256 : str
        Of the stored bytes.
    """

    kind: str
    sha256: str


@dataclass(frozen=True)
class Record:
    """What a stage was made from, what it made, and when.

    Attributes
    ----------
    key : str
        One hash of all that it was made from.
    basis : dict
        What it was made from, for saying what changed.
    parts : dict of str to Part
    started, finished : str
        ISO 8601, UTC.
    seconds : float
    """

    key: str
    basis: dict[str, Any]
    parts: dict[str, Part]
    started: str
    finished: str
    seconds: float


def encode(value: Any) -> tuple[str, bytes]:
    """Return the kind of a result, and the bytes that stand for it."""
    if isinstance(value, pd.DataFrame):
        return "table", _encode_table(value)
    if isinstance(value, bytes):
        return "file", value
    if isinstance(value, NarrativeClassifier | CombinedClassifier):
        with tempfile.TemporaryDirectory() as folder:
            return "model", value.save(Path(folder) / "model").read_bytes()
    return "data", json.dumps(value, ensure_ascii=False).encode("utf-8")


def decode(kind: str, content: bytes) -> Any:
    """Return the result that `encode` turned into bytes."""
    if kind == "table":
        return _decode_table(content)
    if kind == "file":
        return content
    if kind == "model":
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model"
            file.write_bytes(content)
            return load_classifier(file)
    return json.loads(content)


def _encode_table(frame: pd.DataFrame) -> bytes:
    # Parquet holds one type a column; cells of several (numbers and text) go in as JSON.
    mixed = [
        name
        for name in frame.columns
        if frame[name].dtype == object
        and pd.api.types.infer_dtype(frame[name], skipna=True) not in ("string", "boolean", "empty")
    ]
    stored = frame.copy()
    for name in mixed:
        stored[name] = [None if pd.isna(cell) else json.dumps(cell) for cell in frame[name]]
    stored.attrs = dict(frame.attrs) | ({_MIXED: mixed} if mixed else {})
    stream = io.BytesIO()
    stored.to_parquet(stream)
    return stream.getvalue()


def _decode_table(content: bytes) -> pd.DataFrame:
    frame = pd.read_parquet(io.BytesIO(content))
    for name in frame.attrs.pop(_MIXED, []):
        cells = [None if pd.isna(cell) else json.loads(cell) for cell in frame[name]]
        frame[name] = pd.Series(cells, index=frame.index, dtype=object)
    return frame


@dataclass
class StageCache:
    """Results of stages, in a folder or (without one) in memory for the length of a run.

    Content is stored under its own hash; a record for each stage says which content belongs to
    it. What does not fit its hash counts as not there.

    Parameters
    ----------
    folder : pathlib.Path, optional
    """

    folder: Path | None = None
    _memory: dict[str, bytes] = field(default_factory=dict, repr=False)

    def _object(self, part: Part) -> Path:
        assert self.folder is not None
        return self.folder / "objects" / f"{part.sha256}.{KINDS[part.kind]}"

    def put(self, value: Any) -> Part:
        """Store a result and return what finds it again."""
        kind, content = encode(value)
        part = Part(kind, hashlib.sha256(content).hexdigest())
        if self.folder is None:
            self._memory[part.sha256] = content
        elif self._read(part) is None:
            self._prepare()
            write_atomically(self._object(part), lambda path: path.write_bytes(content))
        return part

    def _prepare(self) -> None:
        """Make the folder; its content concerns neither backups nor version control."""
        assert self.folder is not None
        try:
            (self.folder / "objects").mkdir(parents=True, exist_ok=True)
            (self.folder / "stages").mkdir(exist_ok=True)
        except OSError as error:
            raise DataError(
                f"Cache {str(self.folder)!r} cannot be made ({error.strerror}). Remove what stands "
                f"there, or run without the cache (--no-cache)."
            ) from None
        if not (self.folder / "CACHEDIR.TAG").exists():
            write_text(self.folder / "CACHEDIR.TAG", _TAG)
            write_text(self.folder / ".gitignore", "*\n")

    def _read(self, part: Part) -> bytes | None:
        if self.folder is None:
            return self._memory.get(part.sha256)
        try:
            content = self._object(part).read_bytes()
        except OSError:
            return None
        return content if hashlib.sha256(content).hexdigest() == part.sha256 else None

    def read_bytes(self, part: Part) -> bytes:
        """Return the bytes of a stored result.

        Raises
        ------
        DataError
            If it is not there, or is not as it was stored.
        """
        content = self._read(part)
        if content is None:
            raise DataError(
                f"Cache {str(self.folder)!r} was changed while the study ran. Do not run a study "
                f"twice at the same time into one folder; run it again."
            )
        return content

    def get(self, part: Part) -> Any:
        """Return a stored result; DataError if it is not as it was stored."""
        return decode(part.kind, self.read_bytes(part))

    def is_sound(self, record: Record) -> bool:
        """Return whether all that a record names is there as it was stored."""
        return all(self._read(part) is not None for part in record.parts.values())

    def read_record(self, stage: str) -> Record | None:
        """Return the record of a stage; None where there is none that can be trusted."""
        if self.folder is None:
            return None
        try:
            content = json.loads((self.folder / "stages" / f"{stage}.json").read_text("utf-8"))
            told = content.pop("sha256")
            if hash_content(content) != told:
                return None
            content["parts"] = {name: Part(**part) for name, part in content["parts"].items()}
            return Record(**content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write_record(self, stage: str, record: Record) -> None:
        """Keep the record of a stage, in place of an earlier one."""
        if self.folder is None:
            return
        self._prepare()
        content = json.loads(json.dumps(asdict(record)))
        file = self.folder / "stages" / f"{stage}.json"
        write_json(file, {**content, "sha256": hash_content(content)})

    def prune(self, stages: list[str]) -> None:
        """Remove records of other stages, and content that no record names."""
        if self.folder is None or not self.folder.is_dir():
            return
        kept = set()
        for file in (self.folder / "stages").glob("*.json"):
            record = self.read_record(file.stem)
            if file.stem not in stages or record is None:
                file.unlink(missing_ok=True)
            else:
                kept |= {self._object(part).name for part in record.parts.values()}
        for file in (self.folder / "objects").iterdir():
            if file.name not in kept:
                file.unlink(missing_ok=True)
