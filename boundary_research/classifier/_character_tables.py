"""What a letter, a blank and a lower-case form are, asked of the Python that runs."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

N_CODE_POINTS = sys.maxunicode + 1
WORD, SPACE, CASED, IGNORABLE = 1, 2, 4, 8
_BLOCK = 256


@dataclass(frozen=True)
class CharacterTables:
    """Classes and lower-case forms of all code points.

    Attributes
    ----------
    flags : uint8 array, shape (0x110000,)
        Sum of `WORD` (``\\w``), `SPACE` (``\\s``), `CASED` (letters that a capital sigma may end a
        word after) and `IGNORABLE` (marks that are passed over in looking for such a letter).
    lower : int32 array, shape (0x110000,)
        The code point in lower case, or ``-1 - place`` of a form of several code points.
    expansions : uint32 array
        At each place, the number of code points and then the code points.
    """

    flags: np.ndarray
    lower: np.ndarray
    expansions: np.ndarray


@lru_cache(maxsize=1)
def character_tables() -> CharacterTables:
    """Return the tables of the running Python, which follow its version of Unicode."""
    everything = "".join(map(chr, range(N_CODE_POINTS)))
    flags = np.zeros(N_CODE_POINTS, dtype=np.uint8)
    for pattern, flag in ((r"\w+", WORD), (r"\s+", SPACE)):
        for match in re.finditer(pattern, everything):
            flags[match.start() : match.end()] |= flag
    # str.lower alone says which letters a capital sigma is final after.
    after_letter = _where(everything, lambda block: "Σ\nA".join(block) + "Σ", "Aς", "A{}Σ")
    directly = _where(everything, lambda block: "Σ\n".join(block) + "Σ", "ς", "{}Σ")
    flags[directly] |= CASED
    flags[np.setdiff1d(after_letter, directly)] |= IGNORABLE
    lower = np.arange(N_CODE_POINTS, dtype=np.int32)
    expansions: list[int] = []
    for start in range(0, N_CODE_POINTS, _BLOCK):
        block = everything[start : start + _BLOCK]
        if block.lower() == block:
            continue
        for point, character in enumerate(block, start):
            form = character.lower()
            if len(form) == 1:
                lower[point] = ord(form)
            else:
                lower[point] = -1 - len(expansions)
                expansions += [len(form), *map(ord, form)]
    tables = CharacterTables(flags, lower, np.array([*expansions, 0], dtype=np.uint32))
    for table in (tables.flags, tables.lower, tables.expansions):
        table.setflags(write=False)
    return tables


def _where(everything: str, join: Callable[[str], str], sign: str, probe: str) -> np.ndarray:
    """Return the code points for which the lower case of `probe` ends in a final sigma.

    Whole blocks are asked first; most have none.
    """
    found = []
    for start in range(0, N_CODE_POINTS, _BLOCK):
        block = everything[start : start + _BLOCK]
        if sign[-1] not in join(block).lower():
            continue
        for point, character in enumerate(block, start):
            if probe.format(character).lower().endswith("ς"):
                found.append(point)
    return np.array(found, dtype=np.intp)
