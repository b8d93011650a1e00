"""Runs `vae-cli bench` and the same work in PyTorch in turn, and prints the ratios of their speeds.

    cargo build --release
    python -m venv bench/venv && bench/venv/bin/pip install -r bench/requirements.txt
    bench/venv/bin/python bench/race.py                       # every work, five rounds
    bench/venv/bin/python bench/race.py mnist-mlp nll --rounds 3 --compile

One program runs at a time. A speed is the median of its rounds; the ratio is the median of the
rounds' ratios, so that a machine whose speed changes does not favour one of the two.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
IWAE = ["iwae", "--batch-size", "20"]
NLL = (60, ["iwae", "--steps", "8"], "importance_samples_per_second", "importance_gflops")

# Name in peer.py: steps there, arguments of `vae-cli bench`, key of its result, its GFLOP/s.
WORKS = {
    "mnist-mlp": (400, ["mnist-mlp", "--steps", "800"], "images_per_second", "training_gflops"),
    "iwae-k1": (800, [*IWAE, "--set", "objective.samples=1", "--steps", "1600"], "images_per_second", "training_gflops"),
    "iwae-k5": (400, [*IWAE, "--steps", "800"], "images_per_second", "training_gflops"),
    "iwae-k50": (80, [*IWAE, "--set", "objective.samples=50", "--steps", "200"], "images_per_second", "training_gflops"),
    # Against PyTorch with as many draws at once as are the fastest there, with 100, as pythae's `get_nll` has, and
    # with all of an image, as simple loops have.
    "nll": NLL,
    "nll-by-100": NLL,
    "nll-at-once": NLL,
    "conv": (80, ["conv", "--batch-size", "128", "--steps", "80"], "images_per_second", "training_gflops"),
    "conv-color": (16, ["conv-color", "--batch-size", "64", "--steps", "16"], "images_per_second", "training_gflops"),
    "conv-color-64": (
        16,
        ["conv-color", "--batch-size", "32", "--steps", "16", "--set", "data.size=[64,64]"],
        "images_per_second",
        "training_gflops",
    ),
}


def output(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("work", nargs="*", help=", ".join(WORKS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="race against torch.compile")
    parser.add_argument("--program", type=pathlib.Path, default=HERE.parent / "target/release/vae-cli")
    args = parser.parse_args()
    unknown = [work for work in args.work if work not in WORKS]
    if unknown:
        parser.error(f"no work {', '.join(unknown)}: choose from {', '.join(WORKS)}")
    print("| work | vae-cli /s | PyTorch /s | ratio | its range | share of the roof |")
    print("|---|---|---|---|---|---|", flush=True)
    for work in args.work or WORKS:
        steps, arguments, key, gflops = WORKS[work]
        estimates = gflops == "importance_gflops"
        peer = [sys.executable, HERE / "peer.py", work, "--steps", str(steps)]
        peer += ["--compile"] if args.compile and not estimates else []
        # Importance samples are measured in the time limit; training needs no more than its steps.
        limit = "20" if estimates else "60"
        own = [args.program, "bench", *arguments, "--backend", "flex", "--time-limit", limit, "--json"]
        own += ["--only", "importance" if estimates else "training"]
        ours, theirs, shares = [], [], []
        for _ in range(args.rounds):
            result = output(own)
            ours.append(result[key])
            shares.append(result[gflops] / result["roof_gflops"])
            speeds = output(peer)
            theirs.append(speeds.get("images_per_second") or speeds["importance_samples_per_second"])
        ratios = sorted(a / b for a, b in zip(ours, theirs))
        cells = [
            work,
            f"{statistics.median(ours):,.0f}",
            f"{statistics.median(theirs):,.0f}",
            f"{statistics.median(ratios):.2f}",
            f"{ratios[0]:.2f} to {ratios[-1]:.2f}",
            f"{100 * statistics.median(shares):.0f} %",
        ]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
