#!/usr/bin/env python3
"""Makes the golden numbers of VAE-GAN (Larsen et al. 2016): vae_gan.json.

    python vae_gan.py          writes vae_gan.json into this folder

Made with Python 3.11.7, NumPy 2.4.6, autograd 1.9.1 (reverse-mode gradients of NumPy functions), float64; inputs
are rounded to float32. Gradients must agree with central differences where they are those of one function.

The model is encoder mlp 12-7 (tanh), posterior heads 7-3, decoder 3-7-12 (tanh), bernoulli likelihood; the
discriminator 12-6-4-1 with leaky ReLU. Weights, x and noise come from the formula of common.rs by their names.

Losses, with d(x) the features of the discriminator's layer and D(x) its score, averaged over the examples:

    discriminator   softplus(-D(x)) + softplus(D(mean of p(x|z))) + softplus(D(mean of p(x|z_p)))
    value           beta KL + 1/2 |d(x) - d(mean)|^2 + softplus(-D(mean)) + softplus(-D(sampled mean))
    encoder         the gradient of beta KL + 1/2 |d(x) - d(mean)|^2
    decoder         the gradient of gamma 1/2 |d(x) - d(mean)|^2 + softplus(-D(mean)) + softplus(-D(sampled mean))

The JSON has the form of objectives.json, with "player" model or critic (the discriminator).
"""

import json
from pathlib import Path

import autograd.numpy as np
from autograd import grad

HERE = Path(__file__).parent
BATCH, NUMBERS, LATENT, HIDDEN = 5, 12, 3, 7
DISCRIMINATOR = [6, 4]
SLOPE = 0.2


def uniform(name, n):
    """n numbers in [0, 1) of what is called `name`, as float32; common.rs has it too."""
    offset = sum((place + 1) * byte for place, byte in enumerate(name.encode())) * 0.1234567
    i = np.arange(1, n + 1, dtype=np.float64)
    return np.float32((0.6180339887498949 * (i * i) + offset) % 1.0)


def centred(name, n, width):
    return np.float32(width * (np.float64(uniform(name, n)) - 0.5))


def linear(p, path, inputs, outputs):
    bound = 1.0 / np.sqrt(inputs)
    for name, shape in [("weight", (inputs, outputs)), ("bias", (outputs,))]:
        u = np.float64(uniform(f"{path}.{name}", int(np.prod(shape))))
        p[f"{path}.{name}"] = np.float64(np.float32(2.0 * bound * (u - 0.5))).reshape(shape)


def parameters():
    model, critic = {}, {}
    linear(model, "encoder.layers.0", NUMBERS, HIDDEN)
    linear(model, "posterior.mean.output", HIDDEN, LATENT)
    linear(model, "posterior.log_var.output", HIDDEN, LATENT)
    linear(model, "decoder.trunk.layers.0", LATENT, HIDDEN)
    linear(model, "decoder.output", HIDDEN, NUMBERS)
    widths = [NUMBERS, *DISCRIMINATOR]
    for i, (a, b) in enumerate(zip(widths, widths[1:])):
        linear(critic, f"discriminator.layers.{i}", a, b)
    linear(critic, "discriminator.output", widths[-1], 1)
    return model, {path.removeprefix("discriminator."): value for path, value in critic.items()}


def dense(p, path, x):
    return x @ p[f"{path}.weight"] + p[f"{path}.bias"]


def softplus(x):
    return np.logaddexp(0.0, x)


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def encode(p, x):
    h = np.tanh(dense(p, "encoder.layers.0", x))
    return dense(p, "posterior.mean.output", h), dense(p, "posterior.log_var.output", h)


def logits(p, z):
    return dense(p, "decoder.output", np.tanh(dense(p, "decoder.trunk.layers.0", z)))


def features(c, x, layer):
    for i in range(layer):
        h = dense(c, f"layers.{i}", x)
        x = np.where(h > 0, h, SLOPE * h)
    return x


def score(c, x):
    return dense(c, "output", features(c, x, len(DISCRIMINATOR)))


def numbers(array):
    return [float(f"{v:.10g}") for v in np.asarray(array).ravel()]


def central(f, p, h=1e-6):
    found = {}
    for path in p:
        slope = np.zeros_like(p[path])
        for i in np.ndindex(p[path].shape):
            up, down = ({k: v.copy() for k, v in p.items()} for _ in range(2))
            up[path][i] += h
            down[path][i] -= h
            slope[i] = (f(up) - f(down)) / (2 * h)
        found[path] = slope
    return found


def case(beta, gamma, layer):
    model, critic = parameters()
    x = np.float64(uniform("x", BATCH * NUMBERS)).reshape(BATCH, NUMBERS)
    eps = np.float64(centred("posterior", BATCH * LATENT, 3.6)).reshape(BATCH, LATENT)
    z_prior = np.float64(centred("prior", BATCH * LATENT, 3.6)).reshape(BATCH, LATENT)

    def latent(p):
        mean, log_var = encode(p, x)
        kl = 0.5 * (mean**2 + np.exp(log_var) - log_var - 1.0).sum(1).mean()
        return mean + np.exp(0.5 * log_var) * eps, kl

    def error(p, z):
        apart = features(critic, x, layer) - features(critic, sigmoid(logits(p, z)), layer)
        return 0.5 * (apart**2).sum(1).mean()

    def adversarial(p, z):
        fakes = [sigmoid(logits(p, z)), sigmoid(logits(p, z_prior))]
        return sum(softplus(-score(critic, fake)).mean() for fake in fakes)

    z0, kl0 = latent(model)

    def of_encoder(p):
        z, kl = latent(p)
        return beta * kl + error(p, z)

    def of_decoder(p):
        return gamma * error(p, z0) + adversarial(p, z0)

    grads = {}
    for loss, mine in [(of_encoder, False), (of_decoder, True)]:
        by_autograd, by_differences = grad(loss)(model), central(loss, model)
        for path in model:
            if path.startswith("decoder.") == mine:
                assert np.allclose(by_autograd[path], by_differences[path], rtol=1e-5, atol=1e-7), path
                grads[path] = by_autograd[path]
    l0 = logits(model, z0)
    reconstruction = (softplus(l0) - x * l0).sum(1).mean()
    value = beta * kl0 + error(model, z0) + adversarial(model, z0)
    shared = {
        "model": f'[model]\nlatent = {LATENT}\n[model.encoder]\nhidden = [{HIDDEN}]\nactivation = "tanh"\n',
        "objective": f'[objective]\nkind = "vae-gan"\nbeta = {beta}\ngamma = {gamma}\nlayer = {layer}\n'
        f"discriminator = {{ hidden = {DISCRIMINATOR}, slope = {SLOPE} }}\n",
        "input": [1, 3, 4], "classes": 0, "x": "grey", "epoch": 0.0,
    }  # fmt: skip
    of_model = {
        "name": f"vae-gan, layer {layer}: model", "player": "model", **shared,
        "loss": float(f"{value:.10g}"),
        "terms": [[name, float(f"{term:.10g}")] for name, term in [
            ("reconstruction", reconstruction), ("kl", kl0), ("neg_elbo", reconstruction + kl0),
            ("feature_reconstruction", error(model, z0)), ("adversarial", adversarial(model, z0)),
        ]],
        "gradients": {path: numbers(slope) for path, slope in sorted(grads.items())},
    }  # fmt: skip

    rows = [x, sigmoid(l0), sigmoid(logits(model, z_prior))]

    def of_critic(c):
        real, reconstructed, sampled = (score(c, row) for row in rows)
        return softplus(-real).mean() + softplus(reconstructed).mean() + softplus(sampled).mean()

    slopes, differences = grad(of_critic)(critic), central(of_critic, critic)
    assert all(np.allclose(slopes[path], differences[path], rtol=1e-5, atol=1e-7) for path in critic)
    scores = [score(critic, row).mean() for row in rows]
    names = ["score_real", "score_reconstructed", "score_sampled"]
    of_discriminator = {
        "name": f"vae-gan, layer {layer}: discriminator", "player": "critic", **shared,
        "loss": float(f"{of_critic(critic):.10g}"),
        "terms": [[name, float(f"{v:.10g}")] for name, v in zip(names, scores)],
        "gradients": {path: numbers(slope) for path, slope in sorted(slopes.items())},
    }  # fmt: skip
    return [of_model, of_discriminator]


if __name__ == "__main__":
    cases = [*case(1.0, 1.0, 1), *case(0.7, 2.5, 2)]
    lines = ",\n".join(json.dumps(c) for c in cases)
    made_by = {
        "program": "tests/golden/vae_gan.py", "python": "3.11.7", "numpy": "2.4.6",
        "autograd": "1.9.1", "settings": "float64; inputs rounded to float32",
    }  # fmt: skip
    text = f'{{"made_by": {json.dumps(made_by)},\n"cases": [\n{lines}\n]}}\n'
    (HERE / "vae_gan.json").write_text(text)
