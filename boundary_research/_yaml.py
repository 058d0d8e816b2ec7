"""YAML with the line of every key, so that a message can say where to look."""

from __future__ import annotations

from typing import Any

import yaml

from boundary_research._checks import DataError

KeyPath = tuple[str | int, ...]


class YamlReader:
    """Turns a YAML text into plain data; every complaint names the file, the line and the key.

    Parameters
    ----------
    source : str
        What to call the text in a message.
    what : str
        The kind of document ("Codebook", "Study").
    """

    def __init__(self, source: str, what: str) -> None:
        self.source = source
        self.what = what
        self.lines: dict[KeyPath, int] = {}
        self.keys: set[KeyPath] = set()

    def fail(self, path: KeyPath, problem: str) -> DataError:
        """Return the error for the key at `path` (raise it yourself)."""
        probe = path
        while probe and probe not in self.lines:
            probe = probe[:-1]
        line = self.lines.get(probe, 1)
        # A number is an item of a list, unless a key of that name was read as part of a mapping.
        key = ""
        for i, part in enumerate(path):
            listed = isinstance(part, int) and path[: i + 1] not in self.keys
            key += f"[{int(part) + 1}]" if listed else f".{part}"
        key = key.lstrip(".")
        return DataError(f"{self.what} {self.source}, line {line}, key {key or '(top)'}: {problem}")

    def read(self, text: str) -> dict[str, Any]:
        """Return the document's content; its top must be a mapping.

        Raises
        ------
        DataError
            If the text is not YAML, holds nothing, or is no mapping of keys.
        """
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 1
            raise DataError(
                f"{self.what} {self.source}, line {line}: not valid YAML "
                f"({error.problem or error.context}). Check indentation, quotes and colons there."
            ) from None
        except yaml.YAMLError:
            raise DataError(
                f"{self.what} {self.source} is not valid YAML text. Is it the right file?"
            ) from None
        if node is None:
            raise DataError(f"{self.what} {self.source} holds nothing. Start from a bundled one.")
        content = self._plain(node, ())
        if not isinstance(content, dict):
            raise self.fail((), "the file must be a mapping of keys to values.")
        return content

    def _plain(self, node: yaml.Node, path: KeyPath) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            result: dict[Any, Any] = {}
            for key_node, value_node in node.value:
                key = self._scalar(key_node)
                self.lines[(*path, key)] = key_node.start_mark.line + 1
                self.keys.add((*path, key))
                if key in result:
                    raise self.fail((*path, key), "the key stands twice. Keep one.")
                result[key] = self._plain(value_node, (*path, key))
            return result
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(child, (*path, i)) for i, child in enumerate(node.value)]
        return self._scalar(node)

    def _scalar(self, node: yaml.Node) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            raise self.fail((), f"a key on line {node.start_mark.line + 1} is not plain text.")
        if node.tag.endswith(":int"):
            return int(node.value.replace("_", ""), 0 if node.value.startswith("0x") else 10)
        if node.tag.endswith(":float"):
            return float(node.value)
        if node.tag.endswith(":bool"):
            return node.value.lower() in ("true", "yes", "on")
        if node.tag.endswith(":null"):
            return None
        return node.value
