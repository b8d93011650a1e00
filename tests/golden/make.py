#!/usr/bin/env python3
"""Makes the golden numbers beside this file: an independent program for tests/golden.rs to agree with.

    python make.py            writes activation.json, posterior.json, likelihood.json, loss.json,
                              weights.json and optimizer.json into this folder

Made with Python 3.11.7, PyTorch 2.15.0 (float64, CPU, one thread), NumPy 2.4.6, SciPy 1.17.1.

Every number is computed twice before it is written: by PyTorch (torch.distributions, autograd,
torch.optim) and by the closed formulas in NumPy; gradients of the first must agree with central
differences of the second. The files hold results only: weights, data and noise come from `uniform`,
which common.rs has too. Both sides round them to float32, so that both start from the same
numbers, and PyTorch then goes on in float64.
"""

import json
import platform
import tomllib
from pathlib import Path

import numpy as np
import scipy
import scipy.integrate
import scipy.special
import scipy.stats
import torch
from torch import distributions as td

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

HERE = Path(__file__).parent
BATCH, NUMBERS, LATENT = 5, 12, 3  # input [1, 3, 4]

# ---------------------------------------------------------------- the formula that both sides have


def uniform(name, n):
    """n numbers in [0, 1) of what is called `name`, as float32."""
    offset = sum((place + 1) * byte for place, byte in enumerate(name.encode())) * 0.1234567
    i = np.arange(1, n + 1, dtype=np.float64)
    return np.float32((0.6180339887498949 * (i * i) + offset) % 1.0)


def centred(name, n, width):
    """n numbers in +-width/2, as float64 that a float32 holds."""
    return np.float64(np.float32(width * (np.float64(uniform(name, n)) - 0.5)))


def normal(name, n):
    """What stands in for standard normal numbers: the same variance nearly, no tails."""
    return centred(name, n, 3.6)


def data(kind, name, numbers=NUMBERS):
    u = np.float64(uniform(name, BATCH * numbers))
    return {
        "grey": u,
        "binary": np.float64(u >= 0.5),
        "signed": np.float64(np.float32(2.0 * u - 1.0)),
    }[kind].reshape(BATCH, numbers)


def linear(path, inputs, outputs):
    width = 2.0 / np.sqrt(np.float64(inputs))
    return {
        f"{path}.weight": centred(f"{path}.weight", inputs * outputs, width).reshape(inputs, outputs),
        f"{path}.bias": centred(f"{path}.bias", outputs, width),
    }


def parameters(model):
    """All weights of a `[model]` table by path."""
    encoder = model["encoder"]
    hidden, depth = encoder["hidden"], encoder.get("head_depth", 1)
    found = {}

    def chain(path, widths):
        for i, (a, b) in enumerate(zip(widths, widths[1:])):
            found.update(linear(f"{path}.layers.{i}", a, b))

    chain("encoder", [NUMBERS, *hidden])
    last = ([NUMBERS] + hidden)[-1]
    for head in ["mean"] if model.get("posterior", {}).get("kind") == "point" else ["mean", "log_var"]:
        chain(f"posterior.{head}.trunk", [last] * depth)
        found.update(linear(f"posterior.{head}.output", last, LATENT))
    chain("decoder.trunk", [LATENT, *hidden[::-1]])
    found.update(linear("decoder.output", ([LATENT] + hidden[::-1])[-1], NUMBERS))
    return found


# ---------------------------------------------------------------- first program: PyTorch

TORCH_ACTIVATION = {
    "relu": torch.relu,
    "leaky-relu": lambda x: torch.nn.functional.leaky_relu(x, 0.01),
    "tanh": torch.tanh,
    "elu": torch.nn.functional.elu,
    "silu": torch.nn.functional.silu,
}
TORCH_OUTPUT = {"identity": lambda x: x, "sigmoid": torch.sigmoid, "tanh": torch.tanh}
# The clamp of an average of Bernoulli means, as float32 has it.
LOWEST, HIGHEST = float(np.float32(1e-6)), float(np.float32(1.0 - 1e-6))


def torch_mlp(p, path, x, activation):
    i = 0
    while f"{path}.layers.{i}.weight" in p:
        x = torch.nn.functional.linear(x, p[f"{path}.layers.{i}.weight"].T, p[f"{path}.layers.{i}.bias"])
        x = TORCH_ACTIVATION[activation](x)
        i += 1
    return x


def torch_linear(p, path, x):
    return torch.nn.functional.linear(x, p[f"{path}.weight"].T, p[f"{path}.bias"])


def torch_encode(model, p, x):
    activation = model["encoder"].get("activation", "relu")
    features = torch_mlp(p, "encoder", x, activation)
    heads = {}
    for head in ["mean", "log_var"]:
        if f"posterior.{head}.output.weight" in p:
            h = torch_mlp(p, f"posterior.{head}.trunk", features, activation)
            heads[head] = torch_linear(p, f"posterior.{head}.output", h)
    return heads


def torch_decode(model, p, z):
    activation = model["encoder"].get("activation", "relu")
    return torch_linear(p, "decoder.output", torch_mlp(p, "decoder.trunk", z, activation))


def torch_mean(likelihood, output):
    if likelihood.get("kind", "bernoulli") == "bernoulli":
        return torch.sigmoid(output)
    return TORCH_OUTPUT[likelihood.get("output", "identity")](output)


def torch_log_prob(likelihood, output, x):
    """Summed over the last dimension."""
    if likelihood.get("kind", "bernoulli") == "bernoulli":
        return td.Bernoulli(logits=output, validate_args=False).log_prob(x).sum(-1)
    mean = torch_mean(likelihood, output)
    if likelihood.get("squared_error", False):
        return -((mean - x) ** 2).sum(-1)
    return td.Normal(mean, likelihood.get("sigma", 1.0)).log_prob(x).sum(-1)


def torch_log_prob_of_average(likelihood, output, x):
    """output [k, batch, numbers]."""
    mean = torch_mean(likelihood, output).mean(0)
    if likelihood.get("kind", "bernoulli") == "bernoulli":
        p = mean.clamp(LOWEST, HIGHEST)
        return -torch.nn.functional.binary_cross_entropy(p, x, reduction="none").sum(-1)
    if likelihood.get("squared_error", False):
        return -((mean - x) ** 2).sum(-1)
    return td.Normal(mean, likelihood.get("sigma", 1.0)).log_prob(x).sum(-1)


def weight(objective, epoch):
    warmup = objective.get("warmup_epochs", 0.0)
    return objective.get("beta", 1.0) * (min(epoch / warmup, 1.0) if warmup > 0 else 1.0)


def torch_loss(model, objective, p, x, eps, epoch):
    """Total, and the terms by name."""
    likelihood = model.get("likelihood", {})
    heads = torch_encode(model, p, x)
    k = eps.shape[0]
    if "log_var" not in heads:
        reconstruction = -torch_log_prob(likelihood, torch_decode(model, p, heads["mean"]), x).mean()
        return reconstruction, {"reconstruction": reconstruction}
    q = td.Normal(heads["mean"], torch.exp(heads["log_var"] / 2))
    z = q.mean + q.stddev * eps
    output = torch_decode(model, p, z.reshape(k * x.shape[0], LATENT)).reshape(k, *x.shape)
    averaged = objective.get("average_decodings", 1) > 1
    log_prob = (torch_log_prob_of_average if averaged else torch_log_prob)(likelihood, output, x)
    reconstruction = -log_prob.mean()
    kl = td.kl_divergence(q, td.Normal(0.0, 1.0)).mean(0)
    free = objective.get("free_bits", 0.0)
    counted = torch.maximum(kl, torch.full_like(kl, free)) if free > 0 else kl
    total = reconstruction + weight(objective, epoch) * counted.sum()
    terms = {"reconstruction": reconstruction, "kl": kl.sum()}
    if not averaged:
        terms["neg_elbo"] = reconstruction + kl.sum()
    return total, terms


# ---------------------------------------------------------------- second program: NumPy

NUMPY_ACTIVATION = {
    "relu": lambda x: np.maximum(x, 0.0),
    "leaky-relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "tanh": np.tanh,
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0.0))),
    "silu": lambda x: x * scipy.special.expit(x),
}
NUMPY_OUTPUT = {"identity": lambda x: x, "sigmoid": scipy.special.expit, "tanh": np.tanh}


def numpy_mean(likelihood, output):
    if likelihood.get("kind", "bernoulli") == "bernoulli":
        return scipy.special.expit(output)
    return NUMPY_OUTPUT[likelihood.get("output", "identity")](output)


def numpy_log_prob(likelihood, output, x, average=False):
    mean = numpy_mean(likelihood, output)
    if average:
        mean = mean.mean(0)
    if likelihood.get("kind", "bernoulli") == "bernoulli":
        if average:
            p = np.clip(mean, LOWEST, HIGHEST)
            return (x * np.log(p) + (1.0 - x) * np.log1p(-p)).sum(-1)
        # REFERENCE: x l - softplus(l).
        return (x * output - np.logaddexp(0.0, output)).sum(-1)
    square = ((x - mean) ** 2).sum(-1)
    if likelihood.get("squared_error", False):
        return -square
    sigma = likelihood.get("sigma", 1.0)
    return -square / (2 * sigma**2) - x.shape[-1] * np.log(sigma * np.sqrt(2 * np.pi))


class NumpyModel:
    """The same model; remembers how near it came to the kink of an activation."""

    def __init__(self, model):
        self.activation = model["encoder"].get("activation", "relu")
        self.likelihood = model.get("likelihood", {})
        self.nearest = np.inf

    def mlp(self, p, path, x):
        i = 0
        while f"{path}.layers.{i}.weight" in p:
            x = x @ p[f"{path}.layers.{i}.weight"] + p[f"{path}.layers.{i}.bias"]
            self.nearest = min(self.nearest, np.abs(x).min())
            x = NUMPY_ACTIVATION[self.activation](x)
            i += 1
        return x

    def head(self, p, path, x):
        return self.mlp(p, f"{path}.trunk", x) @ p[f"{path}.output.weight"] + p[f"{path}.output.bias"]

    def encode(self, p, x):
        h = self.mlp(p, "encoder", x)
        heads = [f"posterior.{name}" for name in ["mean", "log_var"]]
        return [self.head(p, path, h) for path in heads if f"{path}.output.weight" in p]

    def loss(self, objective, p, x, eps, epoch):
        encoding = self.encode(p, x)
        if len(encoding) == 1:
            return -numpy_log_prob(self.likelihood, self.head(p, "decoder", encoding[0]), x).mean()
        mean, log_var = encoding
        output = self.head(p, "decoder", mean + np.exp(log_var / 2) * eps)
        average = objective.get("average_decodings", 1) > 1
        reconstruction = -numpy_log_prob(self.likelihood, output, x, average).mean()
        kl = 0.5 * (mean**2 + np.exp(log_var) - log_var - 1.0).mean(0)
        free = objective.get("free_bits", 0.0)
        self.kl = kl
        return reconstruction + weight(objective, epoch) * np.maximum(kl, free if free > 0 else -np.inf).sum()

    def log_weights(self, p, x, eps):
        mean, log_var = self.encode(p, x)
        sigma = np.exp(log_var / 2)
        z = mean + sigma * eps
        log_q = scipy.stats.norm.logpdf(z, mean, sigma).sum(-1)
        log_p = scipy.stats.norm.logpdf(z).sum(-1)
        return numpy_log_prob(self.likelihood, self.head(p, "decoder", z), x) + log_p - log_q


# ---------------------------------------------------------------- what is written


def agree(what, a, b, tolerance=1e-10):
    a, b = (np.asarray(v.detach() if torch.is_tensor(v) else v, dtype=np.float64) for v in (a, b))
    assert a.shape == b.shape, (what, a.shape, b.shape)
    worst = np.max(np.abs(a - b) / (1.0 + np.abs(b)))
    assert worst < tolerance, (what, worst)


def listed(values):
    """Ten digits: far below what float32 can tell."""
    values = values.detach().numpy() if torch.is_tensor(values) else np.asarray(values)
    return [float(f"{v:.10g}") for v in values.ravel()]


def by_path(tensors):
    return {path: listed(tensors[path]) for path in sorted(tensors)}


def as_torch(tensors, requires_grad=False):
    return {path: torch.tensor(t, requires_grad=requires_grad) for path, t in tensors.items()}


def write(name, cases, program="tests/golden/make.py"):
    made_by = {
        "program": program,
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "settings": "float64, CPU, one thread; inputs rounded to float32",
    }
    lines = ",\n".join(json.dumps(case) for case in cases)
    text = f'{{"made_by": {json.dumps(made_by)},\n"cases": [\n{lines}\n]}}\n'
    (HERE / f"{name}.json").write_text(text)
    print(f"{name}.json: {len(cases)} cases, {len(text)} bytes")


def activation_cases():
    """Each activation and its slope, also where exp overflows a float32 and next to zero."""
    grid = np.float64(np.float32([-100, -90, -30, -3, -1, -0.1, -1e-3, 0, 1e-3, 0.1, 1, 3, 30, 90, 100]))
    for name, f in TORCH_ACTIVATION.items():
        # At a kink the slope is a convention.
        x = grid[grid != 0] if name in ("relu", "leaky-relu") else grid
        t = torch.tensor(x, requires_grad=True)
        value = f(t)
        (slope,) = torch.autograd.grad(value.sum(), t)
        agree(name, value, NUMPY_ACTIVATION[name](x))
        h = 1e-6
        difference = (NUMPY_ACTIVATION[name](x + h) - NUMPY_ACTIVATION[name](x - h)) / (2 * h)
        agree(name, slope, difference, 1e-6)
        yield {"activation": name, "x": x.tolist(), "value": listed(value), "slope": listed(slope)}


def posterior_cases():
    """KL, draws and densities of a posterior that no network made: means in +-3, log-variances +-4."""
    k = 4
    for width_mean, width_log_var in [(6.0, 8.0), (1.0, 0.5)]:
        mean = centred("mean", BATCH * LATENT, width_mean).reshape(BATCH, LATENT)
        log_var = centred("log_var", BATCH * LATENT, width_log_var).reshape(BATCH, LATENT)
        eps = normal("posterior", k * BATCH * LATENT).reshape(k, BATCH, LATENT)
        q = td.Normal(torch.tensor(mean), torch.exp(torch.tensor(log_var) / 2))
        standard = td.Normal(torch.zeros(LATENT), torch.ones(LATENT))
        z = q.mean + q.stddev * torch.tensor(eps)
        kl = td.kl_divergence(q, standard)
        # Against its definition, by quadrature.
        for i in range(BATCH):
            for d in range(LATENT):
                m, s = mean[i, d], np.exp(log_var[i, d] / 2)
                f = lambda t, m=m, s=s: scipy.stats.norm.pdf(t) * (
                    scipy.stats.norm.logpdf(m + s * t, m, s) - scipy.stats.norm.logpdf(m + s * t)
                )
                agree("kl", kl[i, d], scipy.integrate.quad(f, -12, 12)[0], 1e-8)
        log_q, log_p = q.log_prob(z).sum(-1), standard.log_prob(z).sum(-1)
        agree("log q", log_q, scipy.stats.norm.logpdf(z, mean, np.exp(log_var / 2)).sum(-1))
        agree("log p", log_p, scipy.stats.norm.logpdf(z).sum(-1))
        yield {
            "width_mean": width_mean, "width_log_var": width_log_var, "k": k, "kl": listed(kl),
            "z": listed(z), "log_q": listed(log_q), "log_p": listed(log_p),
        }


def likelihood_cases():
    """log p(x|z), its slope in the decoder's output, the mean, and log p under the average of means."""
    k = 3
    cases = [
        ("bernoulli", 'kind = "bernoulli"', "binary", 6.0, 1e-5),
        ("bernoulli, grey x", 'kind = "bernoulli"', "grey", 6.0, 1e-5),
        # At 1 - 1e-6 a float32 knows 1 - p to one part in a hundred: hence the last number.
        ("bernoulli, logits to +-30", 'kind = "bernoulli"', "binary", 60.0, 2e-3),
        ("bernoulli, grey x, logits to +-30", 'kind = "bernoulli"', "grey", 60.0, 2e-3),
    ]
    for output, kind in [("identity", "signed"), ("sigmoid", "grey"), ("tanh", "signed")]:
        for setting in ["sigma = 0.7", "squared_error = true"]:
            text = f'kind = "gaussian"\n{setting}\noutput = "{output}"'
            cases.append((f"gaussian, {setting}, {output}", text, kind, 4.0, 1e-5))
    for name, text, kind, width, tolerance in cases:
        likelihood = tomllib.loads(text)
        x = data(kind, "x")
        output = centred("output", k * BATCH * NUMBERS, width).reshape(k, BATCH, NUMBERS)
        t = torch.tensor(output, requires_grad=True)
        log_prob = torch_log_prob(likelihood, t, torch.tensor(x))
        (slope,) = torch.autograd.grad(log_prob.sum(), t)
        average = torch_log_prob_of_average(likelihood, t, torch.tensor(x))
        agree(name, log_prob, numpy_log_prob(likelihood, output, x))
        agree(name, average, numpy_log_prob(likelihood, output, x, average=True), 1e-9)
        h = 1e-5
        differences = np.zeros_like(output)
        for at in np.ndindex(*output.shape):
            step = np.zeros_like(output)
            step[at] = h
            up, down = (numpy_log_prob(likelihood, output + s, x).sum() for s in (step, -step))
            differences[at] = (up - down) / (2 * h)
        agree(name, slope, differences, 1e-6)
        yield {
            "name": name, "likelihood": f"[likelihood]\n{text}\n", "x": kind, "width": width, "k": k,
            "log_prob": listed(log_prob), "slope": listed(slope),
            "mean": listed(torch_mean(likelihood, t)),
            "average": listed(average), "average_tolerance": tolerance,
        }


def model_text(activation, depth=1, likelihood='kind = "bernoulli"', hidden="[7, 5]", posterior=None):
    text = f"[model]\nlatent = {LATENT}\n[model.encoder]\nhidden = {hidden}\n"
    text += f'activation = "{activation}"\nhead_depth = {depth}\n'
    if posterior:
        text += f'[model.posterior]\nkind = "{posterior}"\n'
    return text + f"[model.likelihood]\n{likelihood}\n"


SIGMA = 'kind = "gaussian"\nsigma = 0.7'
SQUARES = 'kind = "gaussian"\nsquared_error = true\noutput = "tanh"'

LOSSES = [
    # name, model, objective, x, epoch
    ("plain bound", model_text("relu"), "", "binary", 0.0),
    ("beta", model_text("relu", 2, SIGMA), "beta = 4.0", "signed", 0.0),
    ("averaged decodings", model_text("leaky-relu", 1, SQUARES), "average_decodings = 3", "signed", 0.0),
    ("three samples of squares", model_text("leaky-relu", 2, SQUARES), "samples = 3", "signed", 0.0),
    ("free bits on grey pixels", model_text("tanh"), "beta = 1.5\nfree_bits = FREE", "grey", 0.0),
    ("warm-up at a fractional epoch", model_text("tanh", 2, SIGMA + '\noutput = "sigmoid"'),
     "beta = 2.0\nwarmup_epochs = 3.5", "grey", 1.3),
    ("averaged decodings of bits", model_text("elu"),
     "average_decodings = 3\nbeta = 0.5\nfree_bits = FREE", "binary", 0.0),
    ("everything at once", model_text("elu", 2, SIGMA + '\noutput = "tanh"'),
     "samples = 3\nbeta = 0.8\nwarmup_epochs = 10.0\nfree_bits = FREE", "signed", 6.25),
    ("warm-up that is over", model_text("silu", 1, SIGMA), "beta = 3.0\nwarmup_epochs = 2.0", "signed", 7.5),
    ("warm-up at its start", model_text("silu", 1), "beta = 3.0\nwarmup_epochs = 2.0", "binary", 0.0),
    ("three samples", model_text("silu", 2), "samples = 3", "binary", 0.0),
    ("autoencoder", model_text("tanh", 2, SQUARES, posterior="point"), "beta = 0.0", "signed", 0.0),
    ("no hidden layer", model_text("relu", 1, hidden="[]"), "", "binary", 0.0),
]


def loss_cases():
    """The objective, every term of it, and its gradient in every parameter."""
    for name, model_toml, objective_toml, kind, epoch in LOSSES:
        model = tomllib.loads(model_toml)["model"]
        p = parameters(model)
        x = data(kind, "x")
        if "FREE" in objective_toml:
            # Between the KL of the least and of the most used dimension, so that some are clamped.
            probe = NumpyModel(model)
            probe.loss({}, p, x, np.zeros((1, BATCH, LATENT)), 0.0)
            kl = np.sort(probe.kl)
            free = round((kl[0] + kl[1]) / 2 if kl[1] - kl[0] > kl[2] - kl[1] else (kl[1] + kl[2]) / 2, 3)
            assert kl[0] < free - 1e-3 and kl[2] > free + 1e-3, (name, kl)
            objective_toml = objective_toml.replace("FREE", str(free))
        objective = tomllib.loads(objective_toml)
        k = max(objective.get("samples", 1), objective.get("average_decodings", 1))
        eps = normal("posterior", k * BATCH * LATENT).reshape(k, BATCH, LATENT)
        leaves = as_torch(p, requires_grad=True)
        total, terms = torch_loss(model, objective, leaves, torch.tensor(x), torch.tensor(eps), epoch)
        total.backward()
        gradients = {
            path: np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.numpy()
            for path, leaf in leaves.items()
        }

        second = NumpyModel(model)
        agree(name, total, second.loss(objective, p, x, eps, epoch))
        assert second.nearest > 1e-4 or second.activation in ("tanh", "silu"), (name, second.nearest)
        h = 1e-6
        for path, values in p.items():
            for at in np.ndindex(*values.shape):
                before = values[at]
                values[at] = before + h
                up = second.loss(objective, p, x, eps, epoch)
                values[at] = before - h
                down = second.loss(objective, p, x, eps, epoch)
                values[at] = before
                agree((name, path, at), gradients[path][at], (up - down) / (2 * h), 2e-8)
        yield {
            "name": name, "model": model_toml, "objective": f"[objective]\n{objective_toml}\n",
            "x": kind, "epoch": epoch, "loss": listed(total)[0],
            "terms": [[term, listed(value)[0]] for term, value in terms.items()],
            "gradients": by_path(gradients),
        }


def weight_cases():
    """Importance weights and the nll that they give."""
    k = 50
    for name, model_toml, kind in [
        ("bits", model_text("tanh", 2), "binary"),
        ("numbers", model_text("silu", 1, SIGMA + '\noutput = "tanh"'), "signed"),
        ("relu", model_text("relu", 1, hidden="[7, 5, 4]"), "binary"),
    ]:
        model = tomllib.loads(model_toml)["model"]
        p, x = parameters(model), data(kind, "x")
        eps = normal("posterior", k * BATCH * LATENT).reshape(k, BATCH, LATENT)
        leaves = as_torch(p)
        heads = torch_encode(model, leaves, torch.tensor(x))
        q = td.Normal(heads["mean"], torch.exp(heads["log_var"] / 2))
        z = q.mean + q.stddev * torch.tensor(eps)
        log_x = torch_log_prob(model["likelihood"], torch_decode(model, leaves, z), torch.tensor(x))
        log_w = log_x + td.Normal(0.0, 1.0).log_prob(z).sum(-1) - q.log_prob(z).sum(-1)
        nll = np.log(k) - torch.logsumexp(log_w, 0)
        second = NumpyModel(model).log_weights(p, x, eps)
        agree(name, log_w, second)
        agree(name, nll, -np.log(np.exp(second).mean(0)))
        yield {
            "name": name, "model": model_toml, "x": kind, "k": k,
            "log_weights": listed(log_w), "nll": listed(nll),
        }


STEPS = 5
OPTIMIZERS = [
    # name, settings as the program's configuration has them, largest norm (0 for none)
    ("adam", 'kind = "adam"\nlearning_rate = 0.01', 0.0),
    ("adam, other betas and epsilon",
     'kind = "adam"\nlearning_rate = 0.02\nbeta1 = 0.8\nbeta2 = 0.95\nepsilon = 0.01', 0.0),
    ("adam, weight decay", 'kind = "adam"\nlearning_rate = 0.01\nweight_decay = 0.3', 0.0),
    ("adamw, defaults", 'kind = "adamw"\nlearning_rate = 0.01', 0.0),
    ("adamw", 'kind = "adamw"\nlearning_rate = 0.01\nweight_decay = 0.5\nbeta1 = 0.7\nepsilon = 0.01', 0.0),
    ("sgd", 'kind = "sgd"\nlearning_rate = 0.05', 0.0),
    ("sgd, weight decay", 'kind = "sgd"\nlearning_rate = 0.05\nweight_decay = 0.2', 0.0),
    ("sgd, momentum", 'kind = "sgd"\nlearning_rate = 0.02\nmomentum = 0.9', 0.0),
    ("sgd, Nesterov, weight decay",
     'kind = "sgd"\nlearning_rate = 0.02\nmomentum = 0.8\nnesterov = true\nweight_decay = 0.1', 0.0),
    ("sgd, clipped", 'kind = "sgd"\nlearning_rate = 0.05', "CLIP"),
    ("adam, clipped, weight decay", 'kind = "adam"\nlearning_rate = 0.01\nweight_decay = 0.1', "CLIP"),
    # Its first step is ten times the learning rate long.
    ("rmsprop", 'kind = "rmsprop"\nlearning_rate = 0.001', 0.0),
    ("rmsprop, momentum", 'kind = "rmsprop"\nlearning_rate = 0.001\nmomentum = 0.5', 0.0),
    ("rmsprop, weight decay", 'kind = "rmsprop"\nlearning_rate = 0.001\nweight_decay = 0.01', 0.0),
    ("rmsprop, all settings",
     'kind = "rmsprop"\nlearning_rate = 0.004\nalpha = 0.9\nepsilon = 0.01\nmomentum = 0.5\n'
     'weight_decay = 0.01',
     0.0),
]


def make_optimizer(settings, leaves):
    lr, decay = settings["learning_rate"], settings.get("weight_decay")
    match settings["kind"]:
        case "sgd":
            return torch.optim.SGD(
                leaves, lr=lr, momentum=settings.get("momentum", 0.0),
                nesterov=settings.get("nesterov", False), weight_decay=decay or 0.0,
            )
        case "rmsprop":
            return torch.optim.RMSprop(
                leaves, lr=lr, alpha=settings.get("alpha", 0.99), eps=settings.get("epsilon", 1e-8),
                momentum=settings.get("momentum", 0.0), weight_decay=decay or 0.0, centered=False,
            )
        case kind:
            betas = (settings.get("beta1", 0.9), settings.get("beta2", 0.999))
            # What is left out has PyTorch's own default: Adam 0, AdamW 0.01.
            left = {} if decay is None else {"weight_decay": decay}
            made = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[kind]
            return made(leaves, lr=lr, betas=betas, eps=settings.get("epsilon", 1e-8), **left)


def train(model, settings, largest):
    leaves = as_torch(parameters(model), requires_grad=True)
    optimizer = make_optimizer(settings, list(leaves.values()))
    losses, norms = [], []
    for step in range(STEPS):
        x = torch.tensor(data("binary", f"x/{step}"))
        eps = torch.tensor(normal(f"posterior/{step}", BATCH * LATENT).reshape(1, BATCH, LATENT))
        loss, _ = torch_loss(model, {}, leaves, x, eps, 0.0)
        optimizer.zero_grad()
        loss.backward()
        every = torch.cat([leaf.grad.ravel() for leaf in leaves.values()])
        norms.append(float(every.norm()))
        if largest:
            torch.nn.utils.clip_grad_norm_(list(leaves.values()), largest)
        # A rate that changes, as schedules make it.
        for group in optimizer.param_groups:
            group["lr"] = settings["learning_rate"] / (1.0 + 0.3 * step)
        optimizer.step()
        losses.append(float(loss.detach()))
    return leaves, losses, norms, float(every.abs().min())


def optimizer_cases():
    """Parameters after five steps, each on its own data and noise, at a falling rate."""
    model_toml = model_text("silu", 2)
    model = tomllib.loads(model_toml)["model"]
    for name, text, clip in OPTIMIZERS:
        settings = tomllib.loads(text)
        if clip:
            # One that bites at some steps only.
            norms = sorted(train(model, settings, 0.0)[2])
            clip = round((norms[1] + norms[2]) / 2, 3)
        leaves, losses, norms, least = train(model, settings, clip)
        bites = sum(norm > clip for norm in norms)
        assert not clip or 1 <= bites < STEPS, (name, norms)
        print(f"  {name}: gradient norms {min(norms):.3g} to {max(norms):.3g}, least number {least:.1e}")
        yield {
            "name": name, "model": model_toml, "optimizer": f"[optimizer]\n{text}\n", "clip_norm": clip,
            "losses": [float(f"{loss:.10g}") for loss in losses],
            "parameters": by_path(leaves),
        }


if __name__ == "__main__":
    write("activation", list(activation_cases()))
    write("posterior", list(posterior_cases()))
    write("likelihood", list(likelihood_cases()))
    write("loss", list(loss_cases()))
    write("weights", list(weight_cases()))
    write("optimizer", list(optimizer_cases()))
