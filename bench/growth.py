"""Measures how the cost of training grows, and draws it.

    cargo build --release
    python -m venv bench/venv && bench/venv/bin/pip install -r bench/requirements.txt
    bench/venv/bin/python bench/growth.py | tee growth.txt
    bench/venv/bin/python bench/growth.py --table growth.txt     # draws it again

Each point is one run of `vae-cli bench --only training`, on one core and on all of them. The table
of all points goes to stdout, the picture to docs/growth.png.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator  # noqa: E402

ROOT = pathlib.Path(__file__).parent.parent

# Title and label of the axis, arguments of `vae-cli bench`, the one that changes, its values.
PLOTS = [
    ("batch (mnist-mlp)", "examples in a batch", ["mnist-mlp"], "train.batch_size={}", [8, 32, 128, 512, 2048]),
    (
        "width (mnist-mlp)",
        "numbers in each of two hidden layers",
        ["mnist-mlp"],
        "model.encoder.hidden=[{0},{0}]",
        [50, 100, 200, 400, 800, 1600],
    ),
    ("latent size (mnist-mlp)", "dimensions of z", ["mnist-mlp"], "model.latent={}", [2, 8, 32, 128, 512]),
    (
        "draws (iwae, batch 20)",
        "importance samples k",
        ["iwae", "--batch-size", "20"],
        "objective.samples={}",
        [1, 4, 16, 64, 256],
    ),
    (
        "image size (conv-color, batch 32)",
        "pixels on a side",
        ["conv-color", "--batch-size", "32"],
        "data.size=[{0},{0}]",
        [16, 32, 64, 128],
    ),
]
COLOURS = ["#0072b2", "#d55e00"]  # apart for the colour-blind (Okabe and Ito)


def milliseconds(program, arguments, cores):
    """Returns the time of training on one example."""
    command = [program, "bench", *arguments, "--only", "training", "--backend", "flex", "--time-limit", "4", "--json"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return 1e3 / json.loads(done.stdout)["images_per_second"]


def measured(program):
    """Measures all points and returns the lines of a table."""
    cores = sorted(os.sched_getaffinity(0))
    sets = {1: cores[:1], len(cores): cores}
    yield "| what grows | value | " + " | ".join(f"ms on {n} core" + "s" * (n > 1) for n in sets) + " |"
    yield "|---|---|" + "---|" * len(sets)
    for title, _, arguments, key, values in PLOTS:
        for value in values:
            setting = ["--set", key.format(value)]
            times = [milliseconds(program, [*arguments, *setting], members) for members in sets.values()]
            yield f"| {title} | {value} | " + " | ".join(f"{time:.3g}" for time in times) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "target/release/vae-cli")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "docs/growth.png")
    parser.add_argument("--table", type=pathlib.Path, help="a table of an earlier run, instead of measuring")
    args = parser.parse_args()
    rows = []
    for line in args.table.read_text().splitlines() if args.table else measured(args.program):
        print(line, flush=True)
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    header, rows = rows[0], rows[2:]

    figure, axes = plt.subplots(2, 3, figsize=(11, 6.4), layout="constrained")
    for axis, (title, label, *_) in zip(axes.flat, PLOTS):
        points = [list(map(float, row[1:])) for row in rows if row[0] == title]
        values, *times = zip(*points)
        for colour, name, times in zip(COLOURS, header[2:], times):
            axis.loglog(values, times, "o-", color=colour, label=name.removeprefix("ms on "))
        axis.set(title=title, xlabel=label, ylabel="ms per example")
        axis.set_xticks(values, [f"{value:g}" for value in values])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_locator(LogLocator(subs=[1, 2, 5]))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.grid(alpha=0.3)
    axes.flat[-1].axis("off")
    axes.flat[-1].legend(*axes.flat[0].get_legend_handles_labels(), loc="upper left")
    figure.savefig(args.out, dpi=110)


if __name__ == "__main__":
    main()
