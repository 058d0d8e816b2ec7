"""Codebooks and codings in and out of the tools that qualitative researchers use.

REFI-QDA (``.qdc`` codebooks and ``.qdpx`` projects: NVivo, MAXQDA, ATLAS.ti, QualCoder and others),
Label Studio (JSON) and doccano (JSONL). Offsets of evidence are Unicode code points in all of them.
Every function says what was lost, in sentences. The files hold narratives; they are as confidential
as these.
"""

from __future__ import annotations

from boundary_research.codebook._doccano import read_doccano, write_doccano
from boundary_research.codebook._exchange_tables import Exchange
from boundary_research.codebook._label_studio import (
    label_studio_config,
    read_label_studio,
    write_label_studio,
)
from boundary_research.codebook._refi_codebook import read_qdc, write_qdc
from boundary_research.codebook._refi_qda import read_qdpx, write_qdpx

__all__ = [
    "Exchange",
    "label_studio_config",
    "read_doccano",
    "read_label_studio",
    "read_qdc",
    "read_qdpx",
    "write_doccano",
    "write_label_studio",
    "write_qdc",
    "write_qdpx",
]
