"""A study.yaml that finds its inputs wherever it is carried, and the files that go with it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

from boundary_research._checks import DataError
from boundary_research._files import write_text
from boundary_research.study.plan import StudyPlan

INPUTS = "inputs"
# What may stand beside study.yaml and belongs to it: the plan as registered, and its schema.
_COMPANIONS = ("registered.yaml", "study.schema.json")
# Names that the archive has its own use for.
_RESERVED = {"output", "study.yaml", "readme.md", "sha256sums", "archive.json", *_COMPANIONS}


class PortableStudy(NamedTuple):
    """A study.yaml whose paths all lie below its folder.

    Attributes
    ----------
    text : str
        The study.yaml, comments kept, paths and `output` rewritten.
    files : dict of str to pathlib.Path
        Name below the folder, with ``/``, to the file or folder on this machine.
    """

    text: str
    files: dict[str, Path]

    def copy(self, folder: Path) -> Path:
        """Copy study.yaml and its inputs into a folder, and return the path of study.yaml."""
        for name, source in self.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copyfile(source, target)
        return write_text(folder / "study.yaml", self.text)


def _scalars(
    node: yaml.Node | None, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], yaml.ScalarNode]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scalars(value, (*path, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _scalars(child, path)
    elif isinstance(node, yaml.ScalarNode):
        yield path, node


def _inside_name(source: Path, folder: Path, taken: dict[str, Path]) -> str:
    """Return where an input stands in the portable study: its own place if that is below it."""
    for name, other in taken.items():
        if other == source:
            return name
    if source.is_relative_to(folder):
        relative = source.relative_to(folder)
        if relative.parts and relative.parts[0].casefold() not in _RESERVED:
            return relative.as_posix()
    # The file's own name stays: manifests record it.
    name, number = f"{INPUTS}/{source.name}", 1
    while any(name.casefold() == other.casefold() for other in taken):
        number += 1
        name = f"{INPUTS}/{number}/{source.name}"
    return name


def make_portable(plan: StudyPlan, *, seed: int | None = None) -> PortableStudy:
    """Return the study.yaml of a plan with all paths below its own folder.

    Parameters
    ----------
    plan : StudyPlan
    seed : int, optional
        Another seed than the plan's.

    Raises
    ------
    DataError
        If an input stands nowhere in study.yaml, so that its path cannot be rewritten.
    """
    text = plan.file.read_text("utf-8-sig")
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    wanted = {path.resolve(): name for name, path in plan.inputs().items() if name != "study"}
    files: dict[str, Path] = {}
    changes: list[tuple[int, int, str]] = []
    keys = set()
    for path, node in _scalars(root):
        keys.add(path[0])
        if path in (("title",), ("notice",)):
            continue
        new = None
        if path == ("output",):
            new = "output"
        elif path == ("seed",) and seed is not None:
            changes.append((node.start_mark.index, node.end_mark.index, str(seed)))
        elif (target := (plan.folder / node.value).resolve()) in wanted:
            new = _inside_name(target, plan.folder.resolve(), files)
            files[new] = target
        if new is not None and new != node.value:
            quoted = json.dumps(new, ensure_ascii=False)
            ending = "\n" if node.style in ("|", ">") else ""
            changes.append((node.start_mark.index, node.end_mark.index, quoted + ending))
    lost = [name for target, name in wanted.items() if target not in files.values()]
    if lost:
        raise DataError(
            f"Study {plan.file.name}: the path of input {lost[0]!r} stands nowhere in it, so that "
            f"it cannot be rewritten. Write the path into study.yaml as plain text."
        )
    for name in _COMPANIONS:
        if (plan.folder / name).is_file():
            files[name] = plan.folder / name
    for start, end, new in sorted(changes, reverse=True):
        text = text[:start] + new + text[end:]
    if seed is not None and "seed" not in keys:
        text = text.rstrip("\n") + f"\nseed: {seed}\n"
    return PortableStudy(text, dict(sorted(files.items())))
