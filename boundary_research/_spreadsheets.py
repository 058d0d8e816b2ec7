"""Cells of spreadsheets: text that would be run as a formula is guarded, and read back."""

from __future__ import annotations

_SIGNS = ("=", "+", "-", "@", "\t", "\r")
_GUARDED = tuple(f"'{sign}" for sign in _SIGNS)


def guard_formula(text: str) -> str:
    """Return a text for a cell of a CSV file, with an apostrophe if it begins like a formula.

    A spreadsheet runs what begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return
    (OWASP, *CSV Injection*); narratives come from people whom nobody has checked.

    Examples
    --------
    >>> guard_formula("=1+1"), guard_formula("He said =")
    ("'=1+1", 'He said =')
    """
    return f"'{text}" if text.startswith(_SIGNS) else text


def unguard_formula(text: str) -> str:
    """Return the text without the apostrophe that `guard_formula` put before it.

    Examples
    --------
    >>> unguard_formula("'=1+1"), unguard_formula("'tis so")
    ('=1+1', "'tis so")
    """
    return text[1:] if text.startswith(_GUARDED) else text
