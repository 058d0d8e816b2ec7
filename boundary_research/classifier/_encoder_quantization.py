"""What is done to an exported network: weights of eight bits, no traces (needs onnx)."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from boundary_research._checks import DataError

_FEWEST = 1024  # smaller tables are not worth a scale
_LARGEST = 127


def leave_out_origins(onnx: bytes) -> bytes:
    """Return the same network without what the exporter notes of where it comes from.

    It notes, for every step, which line of which file on which machine made it; folders have the
    names of people.

    Raises
    ------
    DataError
        If onnx is not installed.
    """
    model = _import_onnx().load_from_string(onnx)
    graph = model.graph
    parts = [model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output]
    for part in [*parts, *graph.initializer, *model.functions]:
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return bytes(model.SerializeToString())


def store_small(onnx: bytes) -> bytes:
    """Return the same network with weights stored in eight bits and computed with in 32.

    Each column of a layer's weights, and each row of a table of embeddings, has a scale of its own
    (its largest entry over 127). onnxruntime multiplies them out when it loads the network, so that
    all machines compute with the same 32-bit numbers; products of eight bits, which `quantize`
    makes, come out otherwise on processors that lack instructions for them.

    Raises
    ------
    DataError
        If onnx is not installed.
    """
    onnx_library = _import_onnx()
    model = onnx_library.load_from_string(onnx)
    graph = model.graph
    kept, added = [], []
    for tensor in graph.initializer:
        axis = _scaled_axis(graph, tensor.name)
        if axis is None or len(tensor.dims) != 2 or np.prod(tensor.dims) < _FEWEST:
            kept.append(tensor)
            continue
        whole, scale = _round(onnx_library.numpy_helper.to_array(tensor), axis)
        name = tensor.name
        parts = {f"{name}_8bit": whole, f"{name}_scale": scale}
        kept += [onnx_library.numpy_helper.from_array(part, key) for key, part in parts.items()]
        added.append(
            onnx_library.helper.make_node("DequantizeLinear", [*parts], [name], name, axis=axis)
        )
    del graph.initializer[:]
    graph.initializer.extend(kept)
    nodes = [*added, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    for info in [info for info in graph.value_info if info.name in {n.name for n in added}]:
        graph.value_info.remove(info)
    onnx_library.checker.check_model(model)
    return bytes(model.SerializeToString())


def _round(weights: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return whole numbers from -127 to 127 and the scale of each row (0) or column (1)."""
    scale = np.abs(weights).max(axis=1 - axis, keepdims=True) / np.float32(_LARGEST)
    scale[scale == 0] = 1
    return np.rint(weights / scale).astype(np.int8), scale.astype(np.float32).ravel()


def _scaled_axis(graph: Any, name: str) -> int | None:
    """Return which axis of a table has scales, None for what is no table of weights."""
    uses = [
        (node.op_type, list(node.input).index(name)) for node in graph.node if name in node.input
    ]
    if uses and all(use == ("MatMul", 1) for use in uses):
        return 1
    if uses and all(use == ("Gather", 0) for use in uses):
        return 0
    return None


def quantize(onnx: bytes) -> bytes:
    """Return the same network with weights and activations of eight bits.

    Activations are quantised as they are computed, so no narratives are needed to calibrate it.

    Raises
    ------
    DataError
        If onnx is not installed.
    """
    _import_onnx()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(onnx)
        # The library advises on the root logger.
        logging.disable(logging.WARNING)
        try:
            quantize_dynamic(
                str(source), str(target), weight_type=QuantType.QInt8, per_channel=True
            )
        finally:
            logging.disable(logging.NOTSET)
        return target.read_bytes()


def _import_onnx() -> Any:
    try:
        import onnx
        import onnxruntime.quantization  # noqa: F401
    except ImportError:
        raise DataError(
            "Quantisation needs the library onnx, which is not installed: "
            'pip install "boundary-research[transformer]".'
        ) from None
    return onnx
