"""The same models and steps in PyTorch, to race against `vae-cli bench`.

    python bench/peer.py mnist-mlp --steps 400          # prints one JSON object
    python bench/peer.py --list

Data are random numbers of the right shape, in memory. A step is what a step of `vae-cli train` is: take
a shuffled batch, draw the noise, forward, backward, Adam with epsilon 1e-8. The losses are the same
sums as in Rust. Settings that are best on a CPU: as many threads as cores, set_to_none, inputs of
convolutions in channels_last; `--compile` adds torch.compile.
"""

import argparse
import json
import math
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

LAPS = 8


def mlp(widths, activation):
    layers = []
    for before, after in zip(widths, widths[1:]):
        layers += [nn.Linear(before, after), activation()]
    return nn.Sequential(*layers)


class Mlp(nn.Module):
    """q(z|x) and p(x|z) of fully connected layers, as the presets `mnist-mlp` and `iwae`."""

    def __init__(self, hidden, latent, activation, draws=None):
        super().__init__()
        self.draws = draws
        self.trunk = mlp([784, *hidden], activation)
        self.mean, self.log_var = nn.Linear(hidden[-1], latent), nn.Linear(hidden[-1], latent)
        self.decoder = mlp([latent, *reversed(hidden)], activation)
        self.output = nn.Linear(hidden[0], 784)

    def posterior(self, x):
        h = self.trunk(x)
        return self.mean(h), self.log_var(h)

    def log_prob(self, x, z):
        logits = self.output(self.decoder(z))
        return -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(-1)

    def log_weights(self, x, draws):
        """log p(x, z) - log q(z|x) of each draw, [draws, batch]."""
        mean, log_var = self.posterior(x)
        eps = torch.randn(draws, *mean.shape)
        z = mean + eps * torch.exp(0.5 * log_var)
        log_ratio = (0.5 * (eps.square() + log_var - z.square())).sum(-1)
        return self.log_prob(x, z) + log_ratio

    def forward(self, x):
        if self.draws is not None:
            return (math.log(self.draws) - torch.logsumexp(self.log_weights(x, self.draws), 0)).mean()
        mean, log_var = self.posterior(x)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_var)
        kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)
        return (kl - self.log_prob(x, z)).mean()


class Stage(nn.Module):
    """A convolution that halves or doubles the image, then residual blocks."""

    def __init__(self, before, after, double, residual, groups, activation):
        super().__init__()
        self.double, self.activation = double, activation
        norm = lambda: nn.GroupNorm(groups, after) if groups else nn.Identity()
        self.first = nn.Conv2d(before, after, 3, 1 if double else 2, 1)
        self.norm = norm()
        layer = lambda: nn.Sequential(nn.Conv2d(after, after, 3, 1, 1), norm())
        self.blocks = nn.ModuleList(nn.ModuleList([layer(), layer()]) for _ in range(residual))

    def forward(self, x):
        if self.double:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = self.activation(self.norm(self.first(x)))
        for one, two in self.blocks:
            x = self.activation(x + two(self.activation(one(x))))
        return x


class Conv(nn.Module):
    """The presets `conv` and `conv-color`."""

    def __init__(self, shape, channels, hidden, latent, residual, groups, activation, logistic):
        super().__init__()
        self.shape, self.logistic, self.activation = shape, logistic, activation
        colours, height, width = shape
        stages, before = [], colours
        for after in channels:
            stages.append(Stage(before, after, False, residual, groups, activation))
            before = after
        self.encoder = nn.Sequential(*stages)
        scale = 2 ** len(channels)
        self.smallest = (channels[-1], height // scale, width // scale)
        flat = math.prod(self.smallest)
        self.trunk = nn.Linear(flat, hidden)
        self.mean, self.log_var = nn.Linear(hidden, latent), nn.Linear(hidden, latent)
        self.back, self.flat = nn.Linear(latent, hidden), nn.Linear(hidden, flat)
        reverse = list(reversed(channels))
        stages = [
            Stage(before, after, True, residual, groups, activation)
            for before, after in zip(reverse, reverse[1:] + [reverse[-1]])
        ]
        self.decoder = nn.Sequential(*stages)
        self.output = nn.Conv2d(reverse[-1], colours, 3, 1, 1)
        self.log_scale = nn.Parameter(torch.tensor(math.log(0.1)))

    def log_prob(self, out, x):
        if not self.logistic:
            return -F.binary_cross_entropy_with_logits(out, x, reduction="none").flatten(1).sum(1)
        half, scale = 0.5 / 255, torch.exp(self.log_scale)
        centre = x - torch.sigmoid(out)
        below = F.logsigmoid((centre + half) / scale)
        above = F.logsigmoid(-(centre - half) / scale)
        between = torch.log(-torch.expm1(-2 * half / scale))
        inside = below + above + between
        inside = torch.where(x < half, below, torch.where(x > 1 - half, above, inside))
        return inside.flatten(1).sum(1)

    def forward(self, x):
        x = x.view(-1, *self.shape)
        h = self.encoder(x.contiguous(memory_format=torch.channels_last))
        h = self.activation(self.trunk(h.flatten(1)))
        mean, log_var = self.mean(h), self.log_var(h)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_var)
        h = self.activation(self.flat(self.activation(self.back(z))))
        h = h.view(-1, *self.smallest).contiguous(memory_format=torch.channels_last)
        out = self.output(self.decoder(h)).contiguous()
        kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)
        return (kl - self.log_prob(out, x)).mean()


def colour(side):
    return Conv((3, side, side), [32, 64, 128], 256, 64, 1, 8, F.silu, True)


# Name: model, numbers of an example, batch size, whether x is binary.
WORKS = {
    "mnist-mlp": (lambda: Mlp([400], 20, nn.ReLU), 784, 128, False),
    "iwae-k1": (lambda: Mlp([200, 200], 50, nn.Tanh, 1), 784, 20, True),
    "iwae-k5": (lambda: Mlp([200, 200], 50, nn.Tanh, 5), 784, 20, True),
    "iwae-k50": (lambda: Mlp([200, 200], 50, nn.Tanh, 50), 784, 20, True),
    "conv": (lambda: Conv((1, 28, 28), [32, 64], 256, 32, 0, 0, F.relu, False), 784, 128, False),
    "conv-color": (lambda: colour(32), 3 * 32 * 32, 64, False),
    "conv-color-64": (lambda: colour(64), 3 * 64 * 64, 32, False),
}


def train(name, steps, compiled):
    """Images per second of training: the median of some laps."""
    make, numbers, batch, binary = WORKS[name]
    model = make()
    data = torch.rand(max(4096, 2 * batch), numbers)
    data = (data < 0.2).float() if binary else data
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-8)
    loss_of = torch.compile(model) if compiled else model
    lap = -(-steps // LAPS)

    def run():
        order = torch.randperm(len(data))
        start, at = time.perf_counter(), 0
        for _ in range(lap):
            if at + batch > len(data):
                order, at = torch.randperm(len(data)), 0
            x = data[order[at : at + batch]]
            at += batch
            loss = loss_of(x)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        return lap * batch / (time.perf_counter() - start)

    run()
    return statistics.median(run() for _ in range(LAPS))


# Draws of one image for the estimate of -log p(x).
DRAWS = 5000
# How many of them may be decoded at once. A few stay in the caches, many share the cost of a call.
CHUNKS = [250, 500, 1000, 2500, DRAWS]
# Name: the numbers to choose the fastest from.
ESTIMATES = {"nll": CHUNKS, "nll-by-100": [100], "nll-at-once": [DRAWS]}


def importance(steps, chunks):
    """Importance samples per second of -log p(x), image by image, as 784-200-200-50; and how many draws are decoded
    at once: of `chunks` the number that is the fastest here.
    """
    model, x = Mlp([200, 200], 50, nn.Tanh), (torch.rand(max(8, steps), 784) < 0.2).float()

    def seconds(images, chunk):
        start = time.perf_counter()
        for image in images.split(1):
            torch.logsumexp(torch.cat([model.log_weights(image, chunk) for _ in range(DRAWS // chunk)]), 0)
        return time.perf_counter() - start

    with torch.inference_mode():
        seconds(x[:1], DRAWS)
        chunk = min(chunks, key=lambda chunk: seconds(x[:4], chunk))
        return len(x) * DRAWS / seconds(x, chunk), chunk


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("work", nargs="?", choices=[*WORKS, *ESTIMATES])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    if args.list or args.work is None:
        print("\n".join([*WORKS, *ESTIMATES]))
        return
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    result = {"work": args.work, "torch": torch.__version__, "threads": torch.get_num_threads(), "compiled": args.compile}
    if args.work in ESTIMATES:
        speed, chunk = importance(args.steps, ESTIMATES[args.work])
        result |= {"importance_samples_per_second": speed, "chunk": chunk}
    else:
        result["images_per_second"] = train(args.work, args.steps, args.compile)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
