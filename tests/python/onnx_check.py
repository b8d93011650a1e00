"""Runs exported graphs in onnxruntime and compares them with what the library computed.

usage: onnx_check.py FOLDER

Each folder in FOLDER has encoder.onnx and decoder.onnx, or the decoder alone, the inputs NAME.npy
and the expected outputs FILE.NAME.npy. Prints one JSON object: for each folder and file, the outputs
and the largest error.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

# Of a number of size 1 or less, and of a larger one in relation to its size.
TOLERANCE = 1e-4


def check(folder, name):
    path = folder / f"{name}.onnx"
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    for value in [*model.graph.input, *model.graph.output]:
        assert value.doc_string, f"{path}: {value.name} has no description"
        assert value.type.tensor_type.shape.dim[0].dim_param == "n", f"{path}: {value.name}"
    session = onnxruntime.InferenceSession(path)
    inputs = {i.name: np.load(folder / f"{i.name}.npy") for i in session.get_inputs()}
    outputs = [o.name for o in session.get_outputs()]
    expected = {p.name.split(".")[1] for p in folder.glob(f"{name}.*.npy")}
    assert expected == set(outputs), f"{path}: {outputs} in place of {expected}"
    largest = 0.0
    # All rows, and one.
    for rows in [slice(None), slice(1)]:
        found = session.run(None, {k: v[rows] for k, v in inputs.items()})
        for output, result in zip(outputs, found):
            right = np.load(folder / f"{name}.{output}.npy")[rows]
            assert result.shape == right.shape, f"{path}: {output} {result.shape}"
            assert len(right) == 1 or np.ptp(right, axis=0).max() > 0, f"{path}: {output} is constant"
            error = float((np.abs(result - right) / np.maximum(np.abs(right), 1)).max())
            assert error <= TOLERANCE, f"{path}: {output} differs by {error}"
            largest = max(largest, error)
    metadata = {p.key: p.value for p in model.metadata_props}
    return {"outputs": outputs, "inputs": list(inputs), "error": largest, "metadata": metadata}


def main():
    root = Path(sys.argv[1])
    report = {}
    for folder in sorted(root.iterdir()):
        files = sorted(path.stem for path in folder.glob("*.onnx"))
        report[folder.name] = {name: check(folder, name) for name in files}
    print(json.dumps(report))


main()
