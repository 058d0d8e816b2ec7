"""What a letter, a blank and a lower-case form are, asked of the Python that runs."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

N_CODE_POINTS = sys.maxunicode + 1
WORD, SPACE, CASED, IGNORABLE = 1, 2, 4, 8
_BLOCK = 256


@dataclass(frozen=True)
class CharacterTables:
    r"""Classes and lower-case forms of all code points.

    Attributes
    ----------
    flags : uint8 array, shape (0x110000,)
        Sum of `WORD` (``\w``), `SPACE` (``\s``), `CASED` (letters that a capital sigma may end a
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
    blocks = list(_assigned_blocks(everything))
    directly = _before_final_sigma(blocks, "")
    flags[directly] |= CASED
    flags[np.setdiff1d(_before_final_sigma(blocks, "A"), directly)] |= IGNORABLE
    lower = np.arange(N_CODE_POINTS, dtype=np.int32)
    expansions: list[int] = []
    for start, block in blocks:
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


def _assigned_blocks(everything: str) -> Iterator[tuple[int, str]]:
    """Yield start and text of each block that has a character; most of Unicode has none yet."""
    for start in range(0, N_CODE_POINTS, _BLOCK):
        block = everything[start : start + _BLOCK]
        if not {"Cn", "Co", "Cs"}.issuperset(map(unicodedata.category, block)):
            yield start, block


def _before_final_sigma(blocks: list[tuple[int, str]], prefix: str) -> np.ndarray:
    """Return the code points after which, with `prefix` before, a capital sigma is a final one."""
    found = []
    for start, block in blocks:
        # Whole blocks are asked first; most have none.
        if "ς" in (prefix + f"Σ\n{prefix}".join(block) + "Σ").lower():
            found += [
                point
                for point, character in enumerate(block, start)
                if f"{prefix}{character}Σ".lower()[-1] == "ς"
            ]
    return np.array(found, dtype=np.intp)
