"""Reads the event files of a run with TensorBoard itself and compares them with metrics.jsonl and
the sheets.

    python tensorboard_check.py RUN EXAMPLES LATENT

EXAMPLES is the number of examples in each histogram, LATENT the number of latent dimensions.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

run, examples, latent = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
events = EventAccumulator(str(run), size_guidance={"scalars": 0, "images": 0, "histograms": 0})
events.Reload()

# Every number of the log, and no other, is a scalar.
expected, epoch_ends = {}, {}
for line in (run / "metrics.jsonl").read_text().splitlines():
    values = json.loads(line)
    step, epoch = values.pop("step"), values.pop("epoch")
    of = values.pop("split")
    if values.pop("average") == "epoch":
        epoch_ends[step] = epoch
        of = {"train": "train_epoch", "validation": "validation"}[of]
    for name, value in values.items():
        expected.setdefault(f"{name}/{of}", []).append((step, float(np.float32(value))))
found = {
    tag: [(event.step, event.value) for event in events.Scalars(tag)]
    for tag in events.Tags()["scalars"]
}
assert found == expected, (found, expected)
assert {"loss/train", "loss/train_epoch"} <= set(found), found.keys()

# Every sheet is an image.
images = 0
for tag in events.Tags()["images"]:
    for image in events.Images(tag):
        file = run / "samples" / f"epoch-{epoch_ends[image.step]:04}-{tag}.png"
        assert image.encoded_image_string == file.read_bytes(), file
        # The header of a PNG has width and height.
        size = [int.from_bytes(image.encoded_image_string[i : i + 4], "big") for i in (16, 20)]
        assert [image.width, image.height] == size, (image.width, image.height, size)
        images += 1
assert images == len(list((run / "samples").glob("*.png"))), images

# A histogram of each latent dimension after each epoch.
tags = events.Tags()["histograms"]
assert sorted(tags) == sorted(f"mean/z{i + 1}" for i in range(latent)), tags
for tag in tags:
    histograms = events.Histograms(tag)
    assert [h.step for h in histograms] == sorted(epoch_ends), (tag, histograms)
    for h in (h.histogram_value for h in histograms):
        assert h.num == sum(h.bucket) == examples, (tag, h)
        assert h.bucket_limit == sorted(h.bucket_limit) and h.bucket_limit[-1] == h.max, (tag, h)
        assert h.min <= h.sum / h.num <= h.max and h.sum_squares > 0, (tag, h)

names = sorted(path.name for path in run.glob("events.out.tfevents.*"))
assert all(re.fullmatch(r"events\.out\.tfevents\.\d{10}\.vae", name) for name in names), names
print(len(names), "files", len(found), "scalars", images, "images", len(tags), "histograms")
