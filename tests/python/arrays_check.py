"""Reads the archives and tables of `tests/arrays.rs` with NumPy and PyArrow and compares them.

    python arrays_check.py FOLDER

FOLDER has z.npy, z.npz, z.csv, x.npz and x.csv, and perhaps z.parquet and x.parquet.
"""

import csv
import sys
from pathlib import Path

import numpy as np

folder = Path(sys.argv[1])
means = np.load(folder / "z.npy")
n, latent, draws = *means.shape, 3

archive = np.load(folder / "z.npz", allow_pickle=False)
assert archive.files == ["ids", "mean", "log_var", "draws", "labels"], archive.files
kinds = {name: (archive[name].dtype.str, archive[name].shape) for name in archive.files}
assert kinds == {
    "ids": ("<U6", (n,)),
    "mean": ("<f4", (n, latent)),
    "log_var": ("<f4", (n, latent)),
    "draws": ("<f4", (n, draws, latent)),
    "labels": ("<i8", (n,)),
}, kinds
assert np.array_equal(archive["mean"], means)
assert archive["ids"].tolist() == [f"r\u00e9{i}" for i in range(n)]
assert np.array_equal(archive["labels"], np.arange(n) % 2)
# Draws have the mean and the variance of q(z|x): over all rows 15,000 standard normal numbers.
noise = (archive["draws"] - means[:, None]) / np.exp(archive["log_var"] / 2)[:, None]
assert abs(noise.mean()) < 0.03 and abs(noise.std() - 1) < 0.03, (noise.mean(), noise.std())

blocks = [archive["mean"], archive["log_var"], archive["draws"].reshape(n, -1)]
numbers = np.concatenate(blocks, axis=1)
names = [f"z{i + 1}" for i in range(latent)] + [f"log_var{i + 1}" for i in range(latent)]
names += [f"draw{k + 1}_z{i + 1}" for k in range(draws) for i in range(latent)]
rows = list(csv.reader((folder / "z.csv").open(encoding="utf-8")))
assert rows[0] == ["name", *names, "label"], rows[0]
assert [row[0] for row in rows[1:]] == archive["ids"].tolist()
assert np.array_equal(np.array([row[1:-1] for row in rows[1:]], np.float32), numbers)
assert [int(row[-1]) for row in rows[1:]] == archive["labels"].tolist()

decoded = np.load(folder / "x.npz")["x"]
rows = list(csv.reader((folder / "x.csv").open()))
assert rows[0] == ["index", "a", "b", "c"], rows[0]
assert np.array_equal(np.array([row[1:] for row in rows[1:]], np.float32), decoded)

if (folder / "z.parquet").exists():
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "z.parquet")
    assert table.column_names == ["name", *names, "label"], table.column_names
    assert table["name"].to_pylist() == archive["ids"].tolist()
    found = np.stack([table[name].to_numpy() for name in names], axis=1)
    assert found.dtype == np.float32 and np.array_equal(found, numbers)
    assert table["label"].to_pylist() == archive["labels"].tolist()
    table = pq.read_table(folder / "x.parquet")
    assert table.column_names == ["index", "a", "b", "c"], table.column_names
    assert table["index"].to_pylist() == list(range(n))
    assert np.array_equal(np.stack([table[c].to_numpy() for c in "abc"], axis=1), decoded)
