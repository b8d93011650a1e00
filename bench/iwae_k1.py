"""The protocol `iwae-1l-k1` in PyTorch (configs/papers/iwae-1l-k1.toml): the VAE with one stochastic layer of
Burda et al. 2016. Prints the training loss of each epoch, in nats, to compare with `vae-cli repro`, and with
`--samples K` the nll of the test images from K importance samples, a multiple of 500.

    VAE_DATA_DIR=DIR bench/venv/bin/python bench/iwae_k1.py EPOCHS [--beta1 B] [--estimator E] [--samples K]

DIR/mnist has the files of MNIST. Of the packages in requirements.txt it needs NumPy and PyTorch.
"""

import argparse
import gzip
import os

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

BATCH = 20
# Rows of z that are decoded at once. They stay in a core's cache.
ROWS = 500


def images(name):
    path = os.path.join(os.environ["VAE_DATA_DIR"], "mnist", name)
    with gzip.open(path + ".gz") if os.path.exists(path + ".gz") else open(path, "rb") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784)
    return torch.tensor(pixels.astype(np.float32) / 255)


def linear(inputs, outputs):
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def log_weights(encode, decoder, x, draws, estimator="plain"):
    """log p(x, z) - log q(z|x) of `draws` draws of z for each x, `[draws, images]`. With the estimator `dreg`,
    gradients go to the encoder only through z (for one draw: Roeder et al. 2017).
    """
    mu, s = encode(x)
    z = mu + (s / 2).exp() * torch.randn(draws, *mu.shape)
    logits = decoder(z)
    log_p = -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(-1)
    if estimator == "dreg":
        mu, s = mu.detach(), s.detach()
    noise = (z - mu) * (-s / 2).exp()
    return log_p - 0.5 * (z * z - noise * noise - s).sum(-1)


@torch.no_grad()
def nll(encode, decoder, x, samples):
    """-log p(x) of each x (Burda et al. 2016)."""
    found = []
    for image in x.split(1):
        parts = [log_weights(encode, decoder, image, ROWS) for _ in range(samples // ROWS)]
        found.append(np.log(samples) - torch.cat(parts).double().logsumexp(0).item())
    return np.array(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("epochs", type=int)
    parser.add_argument("--beta1", type=float, default=0.9)
    parser.add_argument("--estimator", choices=["plain", "dreg"], default="plain")
    parser.add_argument("--samples", type=int, default=0, metavar="K")
    args = parser.parse_args()
    if args.samples % ROWS:
        parser.error(f"K must be a multiple of {ROWS}")
    torch.manual_seed(0)
    grey = images("train-images-idx3-ubyte")
    encoder = nn.Sequential(linear(784, 200), nn.Tanh(), linear(200, 200), nn.Tanh())
    mean, log_var = linear(200, 50), linear(200, 50)
    decoder = nn.Sequential(linear(50, 200), nn.Tanh(), linear(200, 200), nn.Tanh(), linear(200, 784))
    start = grey.mean(0).clamp(1e-3, 1 - 1e-3)
    with torch.no_grad():
        decoder[-1].bias.copy_((start / (1 - start)).log())

    def encode(x):
        features = encoder(x)
        return mean(features), log_var(features)

    parameters = [p for part in (encoder, mean, log_var, decoder) for p in part.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3, betas=(args.beta1, 0.999), eps=1e-4, fused=True)
    ends = [(3 ** (stage + 1) - 1) // 2 for stage in range(8)]
    for epoch in range(args.epochs):
        stage = next(stage for stage, end in enumerate(ends) if epoch < end)
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * 10 ** (-stage / 7)
        x = torch.bernoulli(grey)[torch.randperm(len(grey))]
        total = 0.0
        for batch in x.split(BATCH):
            loss = -log_weights(encode, decoder, batch, 1, args.estimator).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        print(f"epoch {epoch + 1}  loss {total / len(x):.2f}", flush=True)
    if args.samples:
        each = nll(encode, decoder, torch.bernoulli(images("t10k-images-idx3-ubyte")), args.samples)
        error = each.std(ddof=1) / len(each) ** 0.5
        print(f"nll {each.mean():.2f} +- {error:.2f} from {args.samples} samples")


if __name__ == "__main__":
    main()
