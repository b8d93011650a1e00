#!/usr/bin/env python3
"""Makes the golden numbers of the further choices on every axis, as make.py makes the first ones.

    python axes.py            writes prior.json, iaf.json, more_likelihoods.json, critic.json, mmd.json,
                              tc.json, iwae.json, networks.json, hierarchical.json, vq.json and
                              objectives.json into this folder

The conventions are make.py's. Every number is computed twice: by PyTorch (torch.distributions, autograd)
and by the closed formulas in NumPy, loops or quadrature; gradients of the first must agree with central
differences of the second. A case holds results and, under `inputs`, how each tensor that goes in is made:
row-major by `centred(name, n, width)`, or by `uniform(name, n)` where there is no width.
"""

import tomllib
from itertools import pairwise

import numpy as np
import scipy.integrate
import scipy.special
import scipy.stats
import torch
from torch import distributions as td
from torch.nn import functional
from torch.nn.functional import logsigmoid, softplus

from make import (
    BATCH, LATENT, NUMPY_ACTIVATION, NUMPY_OUTPUT, NUMBERS, TORCH_ACTIVATION, TORCH_OUTPUT, NumpyModel,
    agree, as_torch, by_path, centred, data, linear, listed, model_text, normal, numpy_log_prob,
    numpy_mean, parameters, torch_decode, torch_encode, torch_linear, torch_log_prob, torch_mean,
    torch_mlp, uniform, write,
)

WIDTH_OF_NORMAL = 3.6  # of `normal` in make.py

# ---------------------------------------------------------------- what all of them need


class Inputs:
    """The tensors that go into a case, and what the case says of them."""

    def __init__(self):
        self.said, self.arrays = {}, {}

    def add(self, name, shape, width=None):
        n = int(np.prod(shape))
        values = np.float64(uniform(name, n)) if width is None else centred(name, n, width)
        self.arrays[name] = values.reshape(shape)
        self.said[name] = {"shape": list(shape)} | ({} if width is None else {"width": width})
        return self.arrays[name]

    def add_linear(self, path, inputs, outputs, width=2.0, width_of_bias=2.0):
        self.add(f"{path}.weight", [inputs, outputs], width)
        self.add(f"{path}.bias", [outputs], width_of_bias)


def differences(f, values, h=1e-6):
    """Central differences of f() in the numbers of an array that f reads."""
    found = np.zeros_like(values)
    for at in np.ndindex(*values.shape):
        before = values[at]
        values[at] = before + h
        up = f()
        values[at] = before - h
        down = f()
        values[at] = before
        found[at] = (up - down) / (2 * h)
    return found


def gradients(what, scalar, leaves, f, arrays, tolerance=2e-8, h=1e-6):
    """Of a PyTorch scalar in its leaves by name; f is the same number by NumPy, of `arrays`."""
    agree(what, scalar, f())
    found = torch.autograd.grad(scalar, list(leaves.values()), allow_unused=True)
    found = {
        name: torch.zeros_like(leaf) if g is None else g
        for (name, leaf), g in zip(leaves.items(), found)
    }
    for name, g in found.items():
        agree((what, name), g, differences(f, arrays[name], h), tolerance)
    return found


def away_from_kink(x):
    """Differences would be wrong across the kink of a relu."""
    assert np.abs(x).min() > 1e-3, np.abs(x).min()
    return x


# ---------------------------------------------------------------- priors


def torch_mixture(z, mean, log_var, logits):
    each = td.Independent(td.Normal(mean, torch.exp(log_var / 2)), 1)
    return td.MixtureSameFamily(td.Categorical(logits=logits), each).log_prob(z)


def numpy_mixture(z, mean, log_var, logits):
    log_weights = logits - np.log(np.exp(logits).sum())
    each = scipy.stats.norm.logpdf(z[..., None, :], mean, np.exp(log_var / 2)).sum(-1)
    return scipy.special.logsumexp(log_weights + each, axis=-1)


def mixture_cases():
    k, components, latent = 2, 4, 3
    # That the density is one, in one dimension.
    one = [centred(name, 3, width) for name, width in [("mean", 5.0), ("log_var", 2.0), ("logits", 3.0)]]
    one = one[0][:, None], one[1][:, None], one[2]
    density = lambda t: float(np.exp(numpy_mixture(np.array([t]), *one)))
    mass = scipy.integrate.quad(density, -20, 20, points=one[0].ravel(), limit=200)[0]
    agree("a mixture's mass", mass, 1.0, 1e-8)

    inputs = Inputs()
    inputs.add("z", [k, BATCH, latent], 6.0)
    inputs.add("mean", [components, latent], 5.0)
    inputs.add("log_var", [components, latent], 2.0)
    inputs.add("logits", [components], 3.0)
    a, t = inputs.arrays, as_torch(inputs.arrays, requires_grad=True)
    log_prob = torch_mixture(**t)
    agree("mixture", log_prob, numpy_mixture(**a))
    grads = gradients("mixture", log_prob.sum(), t, lambda: numpy_mixture(**a).sum(), a)
    yield {
        "name": "mixture", "k": k, "components": components, "latent": latent, "inputs": inputs.said,
        "log_prob": listed(log_prob), "gradients": by_path(grads),
    }

    components, radius, sigma = 10, 4.0, 0.5
    inputs = Inputs()
    # As far as the ring reaches, and a little further.
    a = {"z": inputs.add("z", [k, BATCH, latent], 12.0)}
    angle = 2 * np.pi * np.arange(components) / components
    mean = np.stack([radius * np.cos(angle), radius * np.sin(angle), 0 * angle], 1)
    log_var = np.tile(2 * np.log([sigma, sigma, 1.0]), (components, 1))
    fixed = [mean, log_var, np.zeros(components)]
    t = as_torch(a, requires_grad=True)
    log_prob = torch_mixture(t["z"], *map(torch.tensor, fixed))
    agree("ring", log_prob, numpy_mixture(a["z"], *fixed))
    grads = gradients("ring", log_prob.sum(), t, lambda: numpy_mixture(a["z"], *fixed).sum(), a)
    yield {
        "name": "ring", "k": k, "components": components, "latent": latent, "radius": radius,
        "sigma": sigma, "inputs": inputs.said, "log_prob": listed(log_prob), "gradients": by_path(grads),
    }


def torch_realnvp(p, z, couplings, first):
    log_det = torch.zeros(z.shape[:-1])
    for i in range(couplings):
        a, b = z[..., :first], z[..., first:]
        given, changed = (a, b) if i % 2 == 0 else (b, a)
        hidden = torch_mlp(p, f"couplings.{i}.trunk", given, "relu")
        s = 2 * torch.tanh(torch_linear(p, f"couplings.{i}.scale", hidden) / 2)
        changed = changed * torch.exp(s) + torch_linear(p, f"couplings.{i}.shift", hidden)
        z = torch.cat([given, changed] if i % 2 == 0 else [changed, given], -1)
        log_det = log_det + s.sum(-1)
    return z, log_det


def numpy_realnvp(p, z, couplings, first):
    z, log_det = z.copy(), 0.0
    for i in range(couplings):
        given, changed = (slice(0, first), slice(first, None))[:: 1 if i % 2 == 0 else -1]
        layer = lambda name, x: x @ p[f"couplings.{i}.{name}.weight"] + p[f"couplings.{i}.{name}.bias"]
        hidden = np.maximum(away_from_kink(layer("trunk.layers.0", z[:, given])), 0.0)
        # 2 tanh(r / 2) = 4 sigmoid(r) - 2.
        s = 4 * scipy.special.expit(layer("scale", hidden)) - 2
        z[:, changed] = z[:, changed] * np.exp(s) + layer("shift", hidden)
        log_det = log_det + s.sum(1)
    return z, log_det


def realnvp_case():
    k, latent, couplings, hidden = 2, 5, 3, 4
    first = 3
    inputs = Inputs()
    inputs.add("z", [k, BATCH, latent], 6.0)
    for i in range(couplings):
        given = first if i % 2 == 0 else latent - first
        inputs.add_linear(f"couplings.{i}.trunk.layers.0", given, hidden)
        inputs.add_linear(f"couplings.{i}.scale", hidden, latent - given)
        inputs.add_linear(f"couplings.{i}.shift", hidden, latent - given)
    a, t = inputs.arrays, as_torch(inputs.arrays, requires_grad=True)
    e, log_det = torch_realnvp(t, t["z"], couplings, first)
    flow = lambda row: torch_realnvp(t, row, couplings, first)[0]
    jacobian = torch.func.vmap(torch.func.jacrev(flow))(t["z"].reshape(-1, latent))
    agree("realnvp's determinant", log_det.reshape(-1), torch.linalg.slogdet(jacobian)[1])
    log_prob = td.Normal(0.0, 1.0).log_prob(e).sum(-1) + log_det

    def second():
        e, log_det = numpy_realnvp(a, a["z"].reshape(-1, latent), couplings, first)
        return e, log_det, scipy.stats.norm.logpdf(e).sum(-1) + log_det

    for what, one, other in zip(["e", "log_det", "log_prob"], (e, log_det, log_prob), second()):
        agree(f"realnvp {what}", one.reshape(other.shape), other)
    grads = gradients("realnvp", log_prob.sum(), t, lambda: second()[2].sum(), a, 2e-7)
    yield {
        "name": "realnvp", "k": k, "latent": latent, "couplings": couplings, "hidden": [hidden],
        "inputs": inputs.said, "e": listed(e), "log_det": listed(log_det), "log_prob": listed(log_prob),
        "gradients": by_path(grads),
    }


def fitted_case():
    """A mixture of full covariances, each by the lower factor that a file keeps."""
    n, components, latent = 6, 3, 4
    inputs = Inputs()
    z = inputs.add("z", [n, latent], 6.0)
    means = inputs.add("means", [components, latent], 5.0)
    roots = centred("roots", components * latent**2, 3.0).reshape(components, latent, latent)
    lower = np.linalg.cholesky(roots @ roots.mT + 0.1 * np.eye(latent))
    lower, weights = np.float64(np.float32(lower)), np.array([0.5, 0.375, 0.125])
    each = td.MultivariateNormal(torch.tensor(means), scale_tril=torch.tensor(lower))
    log_prob = td.MixtureSameFamily(td.Categorical(torch.tensor(weights)), each).log_prob(torch.tensor(z))
    density = sum(
        weight * scipy.stats.multivariate_normal(mean, root @ root.T).pdf(z)
        for weight, mean, root in zip(weights, means, lower)
    )
    agree("fitted mixture", log_prob, np.log(density))
    yield {
        "name": "fitted mixture", "components": components, "latent": latent, "inputs": inputs.said,
        "weights": weights.tolist(), "factors": listed(lower), "log_prob": listed(log_prob),
    }


# ---------------------------------------------------------------- a second stochastic level


def torch_second_level(p, z, eps, activation):
    """log p(z|u) + log p(u) - log q(u|z) at u = mean + sigma eps of q(u|z)."""

    def conditional(net, given):
        h = torch_mlp(p, f"{net}.trunk", given, activation)
        mean, log_var = (torch_linear(p, f"{net}.{head}.output", h) for head in ["mean", "log_var"])
        return td.Independent(td.Normal(mean, torch.exp(log_var / 2)), 1)

    q = conditional("inference", z)
    u = q.base_dist.mean + q.base_dist.stddev * eps
    log_p = conditional("generation", u).log_prob(z) + td.Normal(0.0, 1.0).log_prob(u).sum(-1)
    return log_p - q.log_prob(u)


def numpy_conditional(p, net, given, activation):
    """Mean and log-variance."""
    i = 0
    while f"{net}.trunk.layers.{i}.weight" in p:
        layer = f"{net}.trunk.layers.{i}"
        given = NUMPY_ACTIVATION[activation](given @ p[f"{layer}.weight"] + p[f"{layer}.bias"])
        i += 1
    heads = [f"{net}.{head}.output" for head in ["mean", "log_var"]]
    return [given @ p[f"{head}.weight"] + p[f"{head}.bias"] for head in heads]


def numpy_second_level(p, z, eps, activation):
    """The same with the squares and the logarithms of the deviations written out."""
    mean, log_var = numpy_conditional(p, "inference", z, activation)
    u = mean + np.exp(log_var / 2) * eps
    log_w = 0.5 * (eps**2 + log_var - u**2).sum(-1)
    mean, log_var = numpy_conditional(p, "generation", u, activation)
    squares = (z - mean) ** 2 / np.exp(log_var)
    return log_w - 0.5 * (squares + log_var + np.log(2 * np.pi)).sum(-1)


def second_level_inputs(inputs, latent, inner, hidden):
    for net, first, widths, last in [
        ("inference", latent, hidden, inner), ("generation", inner, hidden[::-1], latent)
    ]:
        for i, (n, m) in enumerate(pairwise([first, *widths])):
            inputs.add_linear(f"{net}.trunk.layers.{i}", n, m)
        for head, width in [("mean", 2.0), ("log_var", 1.0)]:
            inputs.add_linear(f"{net}.{head}.output", [first, *widths][-1], last, width)


def second_level_cases():
    # That the weights are a density's on average: their integral over z and the normal numbers is one.
    inputs = Inputs()
    second_level_inputs(inputs, 1, 1, [3])
    one = lambda e, t: np.exp(
        numpy_second_level(inputs.arrays, np.array([t]), np.array([e]), "tanh") - e**2 / 2
    ) / np.sqrt(2 * np.pi)
    agree("second level's mass", scipy.integrate.dblquad(one, -12, 12, -9, 9)[0], 1.0, 1e-6)

    k, n, latent, inner = 2, 4, 3, 4
    for hidden, activation in [([5, 4], "tanh"), ([], "tanh"), ([6], "silu")]:
        name = f"second level, hidden {hidden}, {activation}"
        inputs = Inputs()
        inputs.add("z", [k, BATCH, latent], 4.0)
        second_level_inputs(inputs, latent, inner, hidden)
        a, t = inputs.arrays, as_torch(inputs.arrays, requires_grad=True)
        eps = normal("second level", k * BATCH * inner).reshape(k, BATCH, inner)
        log_prob = torch_second_level(t, t["z"], torch.tensor(eps), activation)
        second = lambda: numpy_second_level(a, a["z"], eps, activation)
        agree(name, log_prob, second())
        grads = gradients(name, log_prob.sum(), t, lambda: second().sum(), a, 1e-7)
        # From the second level down: u first, then z.
        mean, log_var = numpy_conditional(
            a, "generation", normal("second level", n * inner).reshape(n, inner), activation
        )
        sample = mean + np.exp(log_var / 2) * normal("prior", n * latent).reshape(n, latent)
        yield {
            "part": "density", "name": name, "k": k, "latent": latent, "inner": inner, "hidden": hidden,
            "activation": activation, "inputs": inputs.said, "log_prob": listed(log_prob),
            "gradients": by_path(grads), "sample": listed(sample),
        }


# ---------------------------------------------------------------- inverse autoregressive flow


def torch_iaf(p, i, z, context):
    p = {name: p[f"{i}.{name}"] for name in IAF_SHAPES}
    latent, hidden = p["inputs"].shape
    degree = torch.arange(hidden) % latent
    inward = (torch.arange(latent)[:, None] < degree[None, :]).double()
    outward = (degree[:, None] <= torch.arange(latent)[None, :]).double()
    seen = torch.relu(z @ (p["inputs"] * inward) + context @ p["context"] + p["bias"])
    mean = seen @ (p["mean"] * outward) + p["mean_bias"]
    gate = seen @ (p["gate"] * outward) + p["gate_bias"] + 2.0
    sigma = torch.sigmoid(gate)
    return sigma * z + (1 - sigma) * mean, logsigmoid(gate).sum(-1)


def numpy_iaf(p, i, z, context):
    """Dimension after dimension, by the units that it may look at."""
    p = {name: p[f"{i}.{name}"] for name in IAF_SHAPES}
    latent, hidden = p["inputs"].shape
    seen = np.empty((len(z), hidden))
    for j in range(hidden):
        n = j % latent
        seen[:, j] = z[:, :n] @ p["inputs"][:n, j] + context @ p["context"][:, j] + p["bias"][j]
    seen = np.maximum(away_from_kink(seen), 0.0)
    out, log_det = np.empty_like(z), 0.0
    for d in range(latent):
        units = [j for j in range(hidden) if j % latent <= d]
        mean = seen[:, units] @ p["mean"][units, d] + p["mean_bias"][d]
        sigma = scipy.special.expit(seen[:, units] @ p["gate"][units, d] + p["gate_bias"][d] + 2.0)
        out[:, d] = sigma * z[:, d] + (1 - sigma) * mean
        log_det = log_det + np.log(sigma)
    return out, log_det


IAF_SHAPES = {
    "inputs": ("latent", "hidden"), "context": ("context", "hidden"), "bias": ("hidden",),
    "mean": ("hidden", "latent"), "mean_bias": ("latent",),
    "gate": ("hidden", "latent"), "gate_bias": ("latent",),
}


def iaf_cases():
    sizes = {"latent": 4, "context": 3, "hidden": 6}
    for name, steps in [("step 0", [0]), ("step 1", [1]), ("chain", [0, 1])]:
        inputs = Inputs()
        inputs.add("z", [BATCH, sizes["latent"]], 4.0)
        inputs.add("context", [BATCH, sizes["context"]], 4.0)
        w = inputs.add("w", [BATCH, sizes["latent"]], 2.0)
        for i in steps:
            for part, shape in IAF_SHAPES.items():
                inputs.add(f"{i}.{part}", [sizes[s] for s in shape], 2.0)
        a = inputs.arrays
        t = as_torch({n: v for n, v in a.items() if n != "w"}, requires_grad=True)

        def chain(one_step, flip, p, z, context):
            log_det = 0.0
            for at, i in enumerate(steps):
                z, own = one_step(p, i, flip(z) if at else z, context)
                log_det = log_det + own
            return z, log_det

        first = lambda z, context: chain(torch_iaf, lambda z: z.flip(-1), t, z, context)
        second = lambda: chain(numpy_iaf, lambda z: z[:, ::-1].copy(), a, a["z"], a["context"])
        z, log_det = first(t["z"], t["context"])
        both = torch.cat([t["z"], t["context"]], 1)
        jacobian = torch.func.vmap(torch.func.jacrev(lambda v: first(v[:4], v[4:])[0]))(both)[:, :, :4]
        agree(f"iaf {name}: determinant", log_det, torch.linalg.slogdet(jacobian)[1])
        if len(steps) == 1:
            assert (jacobian.triu(1) == 0).all() and (jacobian.tril(-1) != 0).any(), name
        agree(f"iaf {name}: z", z, second()[0])
        agree(f"iaf {name}: log_det", log_det, second()[1])

        def objective():
            z, log_det = second()
            return (z * w).sum() + log_det.sum()

        scalar = (z * torch.tensor(w)).sum() + log_det.sum()
        grads = gradients(f"iaf {name}", scalar, t, objective, a)
        yield {
            "name": name, **sizes, "steps": steps, "inputs": inputs.said,
            "z": listed(z), "log_det": listed(log_det), "gradients": by_path(grads),
        }


# ---------------------------------------------------------------- discrete codes


def torch_vq(settings, points, codebook):
    """Codes, z with the points' gradient, what is added to the loss, and its terms: equation 3 of van den
    Oord et al. 2017."""
    held, n = points.detach(), len(points)
    flat = held.reshape(-1, settings["width"])
    distances = torch.cdist(flat, codebook.detach(), compute_mode="donot_use_mm_for_euclid_dist")
    codes = distances.argmin(1)
    vectors = functional.embedding(codes, codebook).reshape(points.shape)
    commitment = functional.mse_loss(points, vectors.detach(), reduction="sum") / n
    added = settings["commitment"] * commitment
    if settings["codebook"] == "gradient":
        added = added + functional.mse_loss(vectors, held, reduction="sum") / n
    share = torch.bincount(codes, minlength=len(codebook)) / len(codes)
    perplexity = torch.exp(td.Categorical(probs=share).entropy())
    z = points + (vectors - points).detach()
    return codes, z, added, {"commitment": commitment, "perplexity": perplexity}


def numpy_codes(points, codebook):
    """Point after point; no rounding may decide which code is nearest."""
    codes = []
    for point in points.reshape(-1, codebook.shape[1]):
        squares = ((codebook - point) ** 2).sum(1)
        nearest, next_one = np.sort(squares)[:2]
        assert next_one - nearest > 1e-3, (nearest, next_one)
        codes.append(int(squares.argmin()))
    return np.array(codes)


def numpy_vq(settings, points, codebook):
    """Functions of points and codebook as they will be: the codes and all that stands still for a gradient
    are as they are now."""
    codes, held, n = numpy_codes(points, codebook), points.copy(), len(points)
    look_up = lambda codebook: np.concatenate([codebook[code] for code in codes]).reshape(held.shape)
    vectors = look_up(codebook)

    def added(points, codebook):
        total = settings["commitment"] * ((points - vectors) ** 2).sum() / n
        if settings["codebook"] == "gradient":
            total += ((held - look_up(codebook)) ** 2).sum() / n
        return total

    return codes, lambda points: points + vectors - held, added


def numpy_perplexity(codes):
    share = np.unique(codes, return_counts=True)[1] / len(codes)
    return np.prod(share**-share)


def vq_text(settings):
    """As the program's configuration has them."""
    said = [f'{key} = "{v}"' if isinstance(v, str) else f"{key} = {v}" for key, v in settings.items()]
    return "\n".join(['kind = "vq"', *said]) + "\n"


def vq_draw_cases():
    """Points from a head on features that no network made."""
    k, features, latent = 2, 4, 6
    for settings in [
        {"codes": 7, "width": 2, "commitment": 0.4, "codebook": "gradient"},
        {"codes": 5, "width": 3, "commitment": 0.25, "codebook": "moving-average"},
    ]:
        name = f"draws, {settings['codebook']}"
        inputs = Inputs()
        inputs.add("features", [BATCH, features], 3.0)
        w = inputs.add("w", [BATCH, latent], 2.0)
        inputs.add_linear("posterior.points.output", features, latent)
        inputs.add("posterior.codebook", [settings["codes"], settings["width"]], 4.0)
        inputs.add("posterior.uses", [settings["codes"]])
        a = {path.removeprefix("posterior."): v for path, v in inputs.arrays.items() if path != "w"}
        t = as_torch(a, requires_grad=True)
        points = torch_linear(t, "points.output", t["features"])
        codes, z, added, terms = torch_vq(settings, points, t["codebook"])

        numpy_points = lambda: a["features"] @ a["points.output.weight"] + a["points.output.bias"]
        codes_again, z_later, added_later = numpy_vq(settings, numpy_points(), a["codebook"])
        agree(f"{name}: codes", codes, codes_again)
        agree(f"{name}: z", z, a["codebook"][codes_again].reshape(BATCH, latent))
        agree(f"{name}: perplexity", terms["perplexity"], numpy_perplexity(codes_again))
        assert 2.0 < float(terms["perplexity"]) < settings["codes"], name
        agree(f"{name}: added", added, added_later(numpy_points(), a["codebook"]))

        def second():
            points = numpy_points()
            return (z_later(points) * w).sum() + added_later(points, a["codebook"])

        grads = gradients(name, (z * torch.tensor(w)).sum() + added, t, second, a)
        yield {
            "part": "draw", "name": name, "k": k, "latent": latent,
            "posterior": f"[posterior]\n{vq_text(settings)}", "inputs": inputs.said,
            "codes": codes.tolist(), "z": listed(z), "loss": listed(added)[0],
            "terms": [[term, listed(value)[0]] for term, value in terms.items()],
            "gradients": by_path(grads),
        }


def torch_absorb(settings, uses, codebook, points, codes, order):
    """Uses and codebook after a step."""
    decay, n = settings["decay"], settings["codes"]
    flat = points.reshape(-1, settings["width"])
    sums = torch.zeros_like(codebook).index_add(0, codes, flat)
    before, uses = uses, torch.lerp(torch.bincount(codes, minlength=n).to(uses.dtype), uses, decay)
    if settings["codebook"] == "moving-average":
        codebook = torch.lerp(sums, before[:, None] * codebook, decay) / uses[:, None]
    candidates = flat[torch.tensor(order)[torch.arange(n) % len(flat)]]
    dead = uses < settings["restart"] * uses.mean()
    return torch.where(dead, uses.mean(), uses), torch.where(dead[:, None], candidates, codebook)


class NumpyAverages:
    """N, m and e = m / N as in appendix A.1 of van den Oord et al. 2017, code after code."""

    def __init__(self, settings, uses, codebook):
        self.settings, self.n, self.e = settings, uses.copy(), codebook.copy()
        self.m = uses[:, None] * codebook
        self.restarts = 0

    def step(self, points, codes, order):
        keep = self.settings["decay"]
        points = points.reshape(-1, self.settings["width"])
        for i in range(len(self.n)):
            mine = [point for point, code in zip(points, codes) if code == i]
            self.n[i] = keep * self.n[i] + (1 - keep) * len(mine)
            self.m[i] = keep * self.m[i] + (1 - keep) * np.sum(mine, axis=0)
            if self.settings["codebook"] == "moving-average":
                self.e[i] = self.m[i] / self.n[i]
        even = self.n.mean()
        least = self.settings["restart"] * even
        # No rounding may decide here either.
        assert least == 0 or np.abs(self.n - least).min() > 1e-3
        for i in np.flatnonzero(self.n < least):
            self.n[i], self.e[i] = even, points[order[i % len(points)]]
            self.m[i] = self.n[i] * self.e[i]
            self.restarts += 1


# ---------------------------------------------------------------- an autoregressive prior over codes

EMBEDDING = 16


def torch_code_prior(p, codes, positions):
    """log p of every code at every position."""
    n, hidden = len(codes), len(p["outward"])
    # Ones where a later position reads an earlier one.
    mask = torch.kron(torch.ones(positions, positions).triu(1), torch.ones(EMBEDDING, hidden))
    embedded = functional.embedding(codes, p["embedding"]).flatten(1)
    seen = torch.relu(embedded @ (p["inward"] * mask) + p["inward_bias"])
    logits = seen.reshape(n, positions, hidden) @ p["outward"] + p["outward_bias"]
    return torch.log_softmax(logits, -1)


def numpy_code_prior(p, codes, positions):
    """Position after position, by the codes that it may look at."""
    hidden, found = len(p["outward"]), []
    for i in range(positions):
        before = p["embedding"][codes[:, :i]].reshape(len(codes), i * EMBEDDING)
        mine = slice(i * hidden, (i + 1) * hidden)
        seen = before @ p["inward"][: i * EMBEDDING, mine] + p["inward_bias"][mine]
        # Of so many units some come closer to the kink than elsewhere, but none within rounding.
        assert np.abs(seen).min() > 2e-5, np.abs(seen).min()
        logits = np.maximum(seen, 0.0) @ p["outward"] + p["outward_bias"][i]
        found.append(logits - scipy.special.logsumexp(logits, axis=1, keepdims=True))
    return np.stack(found, 1)


def code_prior_case():
    n, codes, positions, hidden, every = 4, 5, 3, 256, 37
    inputs = Inputs()
    inputs.add("prior.embedding", [codes, EMBEDDING], 2.0)
    inputs.add("prior.inward", [positions * EMBEDDING, positions * hidden], 0.8)
    inputs.add("prior.inward_bias", [positions * hidden], 1.0)
    inputs.add("prior.outward", [hidden, codes], 0.6)
    inputs.add("prior.outward_bias", [positions, codes], 2.0)
    a = {path.removeprefix("prior."): v for path, v in inputs.arrays.items()}
    t = as_torch(a, requires_grad=True)
    rows = np.int64(codes * np.float64(uniform("rows", n * positions))).reshape(n, positions)
    assert set(rows.ravel()) == set(range(codes))
    pick = lambda log_probs, rows: np.take_along_axis(log_probs, rows[:, :, None], 2).sum((1, 2))
    log_probs = torch_code_prior(t, torch.tensor(rows), positions)
    log_prob = log_probs.gather(2, torch.tensor(rows)[:, :, None]).sum((1, 2))
    second = lambda: numpy_code_prior(a, rows, positions)
    agree("code prior: log_probs", log_probs, second())
    agree("code prior: log_prob", log_prob, pick(second(), rows))
    every_row = np.stack(np.meshgrid(*[np.arange(codes)] * positions), -1).reshape(-1, positions)
    mass = np.exp(pick(numpy_code_prior(a, every_row, positions), every_row)).sum()
    agree("code prior's mass", mass, 1.0)
    grads = gradients("code prior", log_prob.sum(), t, lambda: pick(second(), rows).sum(), a, 1e-7)
    # Each by the share of the uniform numbers that its probabilities cover.
    u, drawn = np.float64(uniform("codes", n * positions)).reshape(n, positions), np.zeros_like(rows)
    for i in range(positions):
        ends = np.exp(numpy_code_prior(a, drawn, positions)[:, i]).cumsum(1)
        assert np.abs(ends - u[:, [i]]).min() > 1e-3
        drawn[:, i] = (ends < u[:, [i]]).sum(1)
    inward = grads.pop("inward")
    yield {
        "part": "prior", "name": "prior over codes", "codes": codes, "positions": positions,
        "hidden": hidden, "embedding": EMBEDDING, "inputs": inputs.said, "rows": rows.ravel().tolist(),
        "log_probs": listed(log_probs), "log_prob": listed(log_prob),
        "gradients": by_path(grads), "every": every, "inward": listed(inward.ravel()[::every]),
        "inward_squares": listed((inward**2).sum())[0], "drawn": drawn.ravel().tolist(),
    }


# ---------------------------------------------------------------- likelihoods


def torch_continuous_bernoulli(l):
    """log C and the mean."""
    return torch.log(l / torch.tanh(l / 2)), torch.sigmoid(l) / torch.tanh(l / 2) - 1 / l


def numpy_continuous_bernoulli(l):
    """By their definitions: log C = -log of the integral of exp(x l - softplus(l)) over x in [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    nodes, weights = (nodes + 1) / 2, weights / 2
    density = np.exp(nodes * l[..., None] - np.logaddexp(0.0, l)[..., None])
    mass = density @ weights
    return -np.log(mass), (density * nodes) @ weights / mass


def continuous_bernoulli_cases():
    k = 3
    x = data("grey", "x")
    text = 'kind = "continuous-bernoulli"'
    for name, width in [("", 6.0), (", logits to +-30", 60.0), (", logits near zero", 0.002)]:
        name = f"continuous-bernoulli{name}"
        output = centred("output", k * BATCH * NUMBERS, width).reshape(k, BATCH, NUMBERS)
        l = torch.tensor(output, requires_grad=True)
        log_c, mean = torch_continuous_bernoulli(l)
        log_prob = (torch.tensor(x) * l - softplus(l, threshold=1e9) + log_c).sum(-1)

        def second():
            return (x * output - np.logaddexp(0.0, output) + numpy_continuous_bernoulli(output)[0]).sum(-1)

        agree(name, log_prob, second())
        agree(f"{name}: mean", mean, numpy_continuous_bernoulli(output)[1], 1e-9)
        for logit, c in zip(output.ravel()[:20], numpy_continuous_bernoulli(output)[0].ravel()):
            density = lambda t: np.exp(t * logit - np.logaddexp(0.0, logit) + c)
            agree(f"{name}: mass", scipy.integrate.quad(density, 0, 1)[0], 1.0, 1e-8)
        if width == 6.0:
            # Theirs: it has a series near p = 1/2, and knows 1 - p only as far as p does.
            theirs = td.ContinuousBernoulli(logits=l, validate_args=False)
            agree(f"{name}: torch", log_prob, theirs.log_prob(torch.tensor(x)).sum(-1), 1e-9)
            agree(f"{name}: torch's mean", mean, theirs.mean, 1e-4)
        if width < 0.01:
            agree(f"{name}: series", mean, 0.5 + output / 12, 1e-9)
            agree(f"{name}: series of log C", log_c, np.log(2.0) + output**2 / 12, 1e-9)
        slope = gradients(
            name, log_prob.sum(), {"output": l}, lambda: second().sum(), {"output": output}, 1e-7, 1e-5
        )["output"]
        # An exponential family.
        agree(f"{name}: slope", slope, x - mean.detach().numpy(), 1e-9)
        yield {
            "name": name, "likelihood": f"[likelihood]\n{text}\n", "x": "grey", "width": width, "k": k,
            "parameters": 1, "log_prob": listed(log_prob), "slope": listed(slope), "mean": listed(mean),
        }


def levels():
    """Of 256, with both ends in each row: the first number is level 0 and the second level 255."""
    scaled = 255 * np.float64(uniform("x", BATCH * NUMBERS))
    # No rounding may decide.
    assert np.abs(scaled - np.floor(scaled) - 0.5).min() > 1e-3
    level = np.round(scaled).reshape(BATCH, NUMBERS)
    level[:, 0], level[:, 1] = 0, 255
    return level


def x_of_levels(output, level):
    """x as float32 has it, and half the width of a bin."""
    if output == "sigmoid":
        return np.float64(np.float32(level / 255)), 1 / 510
    return np.float64(np.float32(2 * level / 255 - 1)), 1 / 255


def torch_of_location_and_scale(kind, mean, log_scale, x, level, half):
    if kind == "gaussian":
        return td.Normal(mean, torch.exp(log_scale)).log_prob(x)
    if kind == "laplace":
        return td.Laplace(mean, torch.exp(log_scale)).log_prob(x)
    # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)).
    s = torch.exp(log_scale)
    a, b = (x + half - mean) / s, (x - half - mean) / s
    between = logsigmoid(a) + logsigmoid(-b) + torch.log(-torch.expm1(-2 * half / s))
    return torch.where(level == 0, logsigmoid(a), torch.where(level == 255, logsigmoid(-b), between))


def numpy_of_location_and_scale(kind, mean, log_scale, x, level, half):
    s = np.exp(log_scale)
    if kind == "gaussian":
        return -((x - mean) ** 2) / (2 * s**2) - log_scale - 0.5 * np.log(2 * np.pi)
    if kind == "laplace":
        away_from_kink(x - mean)
        return -np.abs(x - mean) / s - np.log(2 * s)
    cdf, logistic = scipy.stats.logistic.cdf, scipy.stats.logistic
    a, b = (x + half - mean) / s, (x - half - mean) / s
    # The smaller tail's difference, which loses less.
    between = np.log(np.where(a + b > 0, cdf(-b) - cdf(-a), cdf(a) - cdf(b)))
    return np.where(level == 0, logistic.logcdf(a), np.where(level == 255, logistic.logsf(b), between))


def spread_cases():
    k = 3
    number = {"gaussian": ("sigma", 0.7), "laplace": ("scale", 0.3), "discretized-logistic": ("scale", 0.1)}
    cases = [
        ("gaussian", "sigmoid", "global"), ("gaussian", "sigmoid", "pixel"),
        ("laplace", "identity", "fixed"), ("laplace", "sigmoid", "fixed"), ("laplace", "tanh", "fixed"),
        ("laplace", "sigmoid", "global"), ("laplace", "identity", "global"),
        ("laplace", "tanh", "pixel"), ("laplace", "identity", "pixel"),
        ("discretized-logistic", "sigmoid", "fixed"),
        ("discretized-logistic", "sigmoid", "global"), ("discretized-logistic", "tanh", "global"),
        ("discretized-logistic", "sigmoid", "pixel"), ("discretized-logistic", "tanh", "pixel"),
    ]
    for kind, activation, spread in cases:
        name = f"{kind}, {activation}, {spread}"
        text = f'kind = "{kind}"\noutput = "{activation}"\nspread = "{spread}"'
        if spread == "fixed":
            text += f"\n{number[kind][0]} = {number[kind][1]}"
        said, level, half = {}, None, None
        if kind == "discretized-logistic":
            level = levels()
            x, half = x_of_levels(activation, level)
            x_kind = "levels, unit" if activation == "sigmoid" else "levels, signed"
            said["half_bin"] = half
            said["levels"] = "round(255 uniform(x)), but 0 first and 255 second in each row; x is " + (
                "level / 255" if activation == "sigmoid" else "2 level / 255 - 1"
            )
        else:
            x_kind = "grey" if activation == "sigmoid" else "signed"
            x = data(x_kind, "x")
        blocks = 2 if spread == "pixel" else 1
        # Narrow and wide bins, log s to +-4; no x on the kink of a Laplace density.
        width = 8.0 if kind == "discretized-logistic" else 5.0
        a = {"output": centred("output", k * BATCH * blocks * NUMBERS, width).reshape(k, BATCH, -1)}
        if spread == "global":
            a["log_spread"] = centred("log_spread", 1, 1.0)
            said["width_log_spread"] = 1.0
        t = as_torch(a, requires_grad=True)

        def read(a, activations, log):
            mean = activations[activation](a["output"][..., :NUMBERS])
            match spread:
                case "fixed":
                    return mean, log(number[kind][1])
                case "global":
                    return mean, a["log_spread"]
                case _:
                    return mean, a["output"][..., NUMBERS:]

        def second(x=x, level=level):
            return numpy_of_location_and_scale(kind, *read(a, NUMPY_OUTPUT, np.log), x, level, half)

        mean, log_scale = read(t, TORCH_OUTPUT, lambda v: torch.tensor(np.log(v)))
        x_and_level = torch.tensor(x), None if level is None else torch.tensor(level)
        log_prob = torch_of_location_and_scale(kind, mean, log_scale, *x_and_level, half).sum(-1)
        agree(name, log_prob, second().sum(-1), 1e-9)
        agree(name, mean, read(a, NUMPY_OUTPUT, np.log)[0])
        if level is not None:
            total = 0.0
            for l in range(256):
                exactly = l / 255 if activation == "sigmoid" else 2 * l / 255 - 1
                total = total + np.exp(second(exactly, np.float64(l)))
            agree(f"{name}: mass", total, np.ones_like(total), 1e-11)
        loose = 1e-6 if level is not None else 1e-7
        grads = gradients(name, log_prob.sum(), t, lambda: second().sum(), a, loose, 1e-5)
        if spread == "global":
            said["spread_slope"] = listed(grads["log_spread"])
        yield {
            "name": name, "likelihood": f"[likelihood]\n{text}\n", "x": x_kind, "width": width, "k": k,
            "parameters": blocks, "log_prob": listed(log_prob), "slope": listed(grads["output"]),
            "mean": listed(mean), **said,
        }


# ---------------------------------------------------------------- critics

CRITIC = [4, 6, 5]


def torch_critic(p, v, slope):
    for i in range(len(CRITIC) - 1):
        v = torch.nn.functional.leaky_relu(torch_linear(p, f"layers.{i}", v), slope)
    return torch_linear(p, "output", v).squeeze(-1)


def numpy_critic(p, v, slope):
    """Scores, and their gradients in v."""
    slopes = []
    for i in range(len(CRITIC) - 1):
        v = away_from_kink(v @ p[f"layers.{i}.weight"] + p[f"layers.{i}.bias"])
        slopes.append(np.where(v > 0, 1.0, slope))
        v = slopes[-1] * v
    score = (v @ p["output.weight"] + p["output.bias"])[:, 0]
    back = p["output.weight"].T
    for i in reversed(range(len(CRITIC) - 1)):
        back = (back * slopes[i]) @ p[f"layers.{i}.weight"].T
    return score, back


CRITIC_LOSSES = {
    # name: PyTorch, NumPy (of scores), gradients in
    "critic, logistic": (
        lambda real, fake: -logsigmoid(real).mean() - logsigmoid(-fake).mean(),
        lambda real, fake: np.logaddexp(0, -real).mean() + np.logaddexp(0, fake).mean(), "parameters"),
    "critic, wasserstein": (
        lambda real, fake: fake.mean() - real.mean(),
        lambda real, fake: fake.mean() - real.mean(), "parameters"),
    "critic, wasserstein-gp": (
        lambda real, fake: fake.mean() - real.mean(),
        lambda real, fake: fake.mean() - real.mean(), "parameters"),
    "generator, logistic": (
        lambda real, fake: -logsigmoid(fake).mean(),
        lambda real, fake: np.logaddexp(0, -fake).mean(), ["v_fake"]),
    "generator, wasserstein": (
        lambda real, fake: -fake.mean(), lambda real, fake: -fake.mean(), ["v_fake"]),
    "pairs, logistic": (
        lambda real, fake: -(logsigmoid(fake) + logsigmoid(-real)).mean(),
        lambda real, fake: (np.logaddexp(0, -fake) + np.logaddexp(0, real)).mean(), ["v_fake", "v_real"]),
    "pairs, wasserstein": (
        lambda real, fake: real.mean() - fake.mean(),
        lambda real, fake: real.mean() - fake.mean(), ["v_fake", "v_real"]),
}

# Norms beyond 1, where the others are below it.
STEEP = ("critic, wasserstein-gp, steep", CRITIC_LOSSES["critic, wasserstein-gp"])


def critic_cases():
    weight = 10.0
    for slope in [0.2, 0.0]:
        for name, (first, second, wanted) in [*CRITIC_LOSSES.items(), STEEP]:
            what = (name, slope)
            steep = name.endswith("steep")
            penalized = "gp" in name
            inputs = Inputs()
            inputs.add("v_real", [BATCH, CRITIC[0]], 4.0)
            inputs.add("v_fake", [BATCH, CRITIC[0]], 6.0 if steep else 4.0)
            widths = [4.0, 1.0] if steep else [2.0, 2.0]
            for i, (n, m) in enumerate(zip(CRITIC, CRITIC[1:])):
                inputs.add_linear(f"layers.{i}", n, m, *widths)
            inputs.add_linear("output", CRITIC[-1], 1, *widths)
            if penalized:
                inputs.add("penalty", [BATCH])
            a, t = inputs.arrays, as_torch(inputs.arrays, requires_grad=True)
            if wanted == "parameters":
                wanted = [path for path in a if path.endswith((".weight", ".bias"))]
            real, fake = torch_critic(t, t["v_real"], slope), torch_critic(t, t["v_fake"], slope)
            loss = first(real, fake)
            said = {}
            if penalized:
                u = t["penalty"].detach()[:, None]
                v = (u * t["v_real"] + (1 - u) * t["v_fake"]).detach().requires_grad_()
                (g,) = torch.autograd.grad(torch_critic(t, v, slope).sum(), v, create_graph=True)
                norms = g.norm(dim=1)
                # Where all units of a relu are off, the norm is 0 all around, and so is its gradient.
                dead = int((norms == 0).sum())
                assert dead == (2 if slope == 0 and not steep else 0), what
                assert norms[norms > 0].min() > 0.05 and (norms.max() > 1) == steep, what
                penalty = ((norms - 1) ** 2).mean()
                loss = loss + weight * penalty
                said = {
                    "penalty_weight": weight, "norms": listed(norms), "dead_rows": dead,
                    "penalty": listed(penalty)[0],
                }

            def of_norms():
                u = a["penalty"][:, None]
                back = numpy_critic(a, u * a["v_real"] + (1 - u) * a["v_fake"], slope)[1]
                return np.sqrt((back**2).sum(1))

            def again():
                found = second(*(numpy_critic(a, a[v], slope)[0] for v in ["v_real", "v_fake"]))
                return found + weight * ((of_norms() - 1) ** 2).mean() if penalized else found

            agree(what, real, numpy_critic(a, a["v_real"], slope)[0])
            agree(what, fake, numpy_critic(a, a["v_fake"], slope)[0])
            if penalized:
                agree(what, norms, of_norms())
            grads = gradients(what, loss, {n: t[n] for n in wanted}, again, a, 1e-7)
            assert wanted[0] == "v_fake" or all(
                g.abs().max() > 1e-4 for path, g in grads.items() if path != "output.bias"
            ), what
            yield {
                "name": f"{name}, slope {slope:g}", "loss_name": name, "negative_slope": slope,
                "hidden": CRITIC[1:], "inputs": inputs.said, "real": listed(real), "fake": listed(fake),
                "loss": listed(loss)[0], **said, "gradients": by_path(grads),
            }


# ---------------------------------------------------------------- maximum mean discrepancy

SCALES = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]


def torch_mmd(a, b, kernel, bandwidth):
    n, latent = a.shape
    c = 2 * latent * bandwidth**2

    def between(p, q):
        d2 = ((p[:, None] - q[None]) ** 2).sum(-1)
        return sum(c * s / (c * s + d2) for s in SCALES) if kernel == "imq" else torch.exp(-d2 / c)

    off = 1 - torch.eye(n)
    within = ((between(a, a) + between(b, b)) * off).sum() / (n * (n - 1))
    return within - 2 * between(a, b).mean()


def numpy_mmd(a, b, kernel, bandwidth):
    """Pair after pair."""
    n, latent = a.shape
    c = 2 * latent * bandwidth**2

    def k(p, q):
        d2 = ((p - q) ** 2).sum()
        return sum(c * s / (c * s + d2) for s in SCALES) if kernel == "imq" else np.exp(-d2 / c)

    total = 0.0
    for i in range(n):
        for j in range(n):
            total -= 2 * k(a[i], b[j]) / n**2
            if i != j:
                total += (k(a[i], a[j]) + k(b[i], b[j])) / (n * (n - 1))
    return total


def mmd_cases():
    n, latent = 6, 3
    for kernel in ["imq", "gaussian"]:
        for bandwidth in [1.0, 0.7]:
            what = f"mmd, {kernel}, {bandwidth}"
            inputs = Inputs()
            inputs.add("a", [n, latent], 4.0)
            inputs.add("b", [n, latent], WIDTH_OF_NORMAL)
            a, t = inputs.arrays, as_torch(inputs.arrays, requires_grad=True)
            mmd2 = torch_mmd(t["a"], t["b"], kernel, bandwidth)
            second = lambda: numpy_mmd(a["a"], a["b"], kernel, bandwidth)
            grads = gradients(what, mmd2, {"a": t["a"]}, second, a)
            yield {
                "name": what, "kernel": kernel, "bandwidth": bandwidth, "latent": latent,
                "inputs": inputs.said, "mmd2": listed(mmd2)[0], "gradients": by_path(grads),
            }


# ---------------------------------------------------------------- decomposed KL


DATA_SET = 50


def stratified_weights():
    """Of a batch in the data set (Chen et al. 2018, appendix C.2)."""
    n, m = DATA_SET, BATCH - 1
    w = np.full((BATCH, BATCH), 1 / m)
    for i in range(BATCH):
        w[i, i], w[i, (i + 1) % BATCH] = 1 / n, (n - m) / (n * m)
    agree("rows of weights", w.sum(1), np.ones(BATCH))
    return w


def equal_weights():
    """Minibatch weighted sampling (Chen et al. 2018, section 3.1), without its factor 1/N."""
    return np.full((BATCH, BATCH), 1 / BATCH)


def torch_decomposed(q, z, w):
    """log q(z) and log prod_d q(z_d) of each z, and the terms of the KL."""
    each = q.log_prob(z[:, None, :])  # [i, j, d]
    log_w = torch.tensor(np.log(w))
    log_qz = torch.logsumexp(log_w + each.sum(-1), 1)
    log_prod = torch.logsumexp(log_w[:, :, None] + each, 1).sum(-1)
    log_qzx, log_pz = q.log_prob(z).sum(-1), td.Normal(0.0, 1.0).log_prob(z).sum(-1)
    terms = {
        "mutual_information": (log_qzx - log_qz).mean(),
        "total_correlation": (log_qz - log_prod).mean(),
        "dimension_wise_kl": (log_prod - log_pz).mean(),
    }
    agree("sum of terms", sum(terms.values()), (log_qzx - log_pz).mean())
    return log_qz, log_prod, terms


def numpy_decomposed(mean, sigma, z, w):
    """The terms, with no logarithms where they can be left out."""
    pdf = scipy.stats.norm.pdf
    found = np.zeros(3)
    for i in range(BATCH):
        density = np.array([pdf(z[i], mean[j], sigma[j]) for j in range(BATCH)])
        qz, prod = w[i] @ density.prod(1), (w[i] @ density).prod()
        found += np.log([density[i].prod() / qz, qz / prod, prod / pdf(z[i]).prod()]) / BATCH
    return found


def tc_cases():
    # With the paper's weights.
    counted = {"mutual_information": 1.0, "total_correlation": 6.0, "dimension_wise_kl": 1.0}

    inputs = Inputs()
    inputs.add("mean", [BATCH, LATENT], 3.0)
    inputs.add("log_var", [BATCH, LATENT], 1.0)
    eps = inputs.add("posterior", [BATCH, LATENT], WIDTH_OF_NORMAL)
    a = inputs.arrays
    assert (eps.ravel() == normal("posterior", BATCH * LATENT)).all()

    for estimator, w in [("stratified", stratified_weights()), ("weighted", equal_weights())]:
        t = as_torch({name: a[name] for name in ["mean", "log_var"]}, requires_grad=True)
        q = td.Normal(t["mean"], torch.exp(t["log_var"] / 2))
        z = q.mean + q.stddev * torch.tensor(eps)
        log_qz, log_prod, terms = torch_decomposed(q, z, w)
        loss = sum(counted[name] * term for name, term in terms.items())

        def second(w=w):
            sigma = np.exp(a["log_var"] / 2)
            return numpy_decomposed(a["mean"], sigma, a["mean"] + sigma * eps, w)

        agree("terms", torch.stack(list(terms.values())), second())
        grads = gradients("tc", loss, t, lambda second=second: second() @ list(counted.values()), a)
        yield {
            "name": f"minibatch-{estimator}", "data_set": DATA_SET, "batch": BATCH, "latent": LATENT,
            "inputs": inputs.said, "weights": listed(w), "z": listed(z),
            "log_q_z": listed(log_qz), "log_prod_q_z": listed(log_prod),
            "terms": {name: listed(term)[0] for name, term in terms.items()},
            "counted": counted, "loss": listed(loss)[0], "gradients": by_path(grads),
        }


# ---------------------------------------------------------------- importance weighted bounds


def torch_log_weights(model, p, x, eps):
    """log w [k, batch], and the same with the parameters of log q held."""
    heads = torch_encode(model, p, x)
    q = td.Normal(heads["mean"], torch.exp(heads["log_var"] / 2))
    z = q.mean + q.stddev * eps
    log_x = torch_log_prob(model["likelihood"], torch_decode(model, p, z), x)
    log_pz = td.Normal(0.0, 1.0).log_prob(z).sum(-1)
    held = td.Normal(q.mean.detach(), q.stddev.detach())
    return log_x + log_pz - q.log_prob(z).sum(-1), log_x + log_pz - held.log_prob(z).sum(-1)


def torch_iwae(log_w, groups=1):
    """The bound, negated: of each group, averaged over groups and batch."""
    k = log_w.shape[0] // groups
    each = torch.logsumexp(log_w.reshape(groups, k, -1), 1) - np.log(k)
    return -each.mean()


def numpy_iwae(log_w, groups=1):
    each = [np.log(np.exp(part).mean(0)).mean() for part in np.split(log_w, groups)]
    return -np.mean(each)


def torch_dreg(log_w, held):
    """What has the doubly reparameterized gradient in the encoder (Tucker et al. 2019, equation 8)."""
    weights = torch.softmax(log_w, 0).detach()
    return -(weights**2 * held).sum(0).mean()


def numpy_dreg(model, p, x, eps):
    """A function of the parameters as they will be: weights and q stay as they are now."""
    now = NumpyModel(model)
    mean, log_var = now.encode(p, x)
    log_w = now.log_weights(p, x, eps)
    weights = np.exp(log_w) / np.exp(log_w).sum(0)

    def later():
        m, v = now.encode(p, x)
        z = m + np.exp(v / 2) * eps
        held = scipy.stats.norm.logpdf(z, mean, np.exp(log_var / 2)).sum(-1)
        log_x = numpy_log_prob(model["likelihood"], now.head(p, "decoder", z), x)
        return -(weights**2 * (log_x + scipy.stats.norm.logpdf(z).sum(-1) - held)).sum(0).mean()

    return later


def of_encoder(path):
    return path.startswith(("encoder.", "posterior."))


def iwae_expectations(model, p, x):
    """Doubly reparameterized gradients are those of the bound on average over normal noise."""
    k, copies, rounds = 4, 100, 200
    generator = torch.Generator().manual_seed(20190227)
    t = as_torch(p, requires_grad=True)
    leaves = [leaf for path, leaf in t.items() if of_encoder(path)]
    every = torch.tensor(x).repeat(copies, 1)
    apart, apart_if_not_squared, size = [], [], []
    for _ in range(rounds):
        eps = torch.randn(k, len(every), LATENT, generator=generator)
        log_w, held = torch_log_weights(model, t, every, eps)
        one_power = -(torch.softmax(log_w, 0).detach() * held).sum(0).mean()
        plain, dreg, other = (
            torch.cat([g.ravel() for g in torch.autograd.grad(f, leaves, retain_graph=True)])
            for f in (torch_iwae(log_w), torch_dreg(log_w, held), one_power)
        )
        apart.append(dreg - plain)
        apart_if_not_squared.append(other - plain)
        size.append(plain)

    def in_errors(rows):
        rows = torch.stack(rows)
        return float((rows.mean(0).abs() / (rows.std(0) / rounds**0.5 + 1e-12)).max())

    ratio = float(torch.stack(apart).mean(0).norm() / torch.stack(size).mean(0).norm())
    right, wrong = in_errors(apart), in_errors(apart_if_not_squared)
    print(
        f"  dreg: {len(plain)} gradients, {rounds * copies} times {k} draws: at most {right:.2f} standard"
        f" errors from the plain ones, {100 * ratio:.2f}% in all (weights not squared: {wrong:.1f} errors)"
    )
    assert right < 4.5 and ratio < 0.05 and wrong > 10


def iwae_cases():
    model_toml = model_text("tanh")
    model = tomllib.loads(model_toml)["model"]
    p, x = parameters(model), data("binary", "x")
    iwae_expectations(model, p, x)
    second = NumpyModel(model)
    for name, groups, k, elbo_weight in [
        ("iwae", 1, 4, None), ("miwae", 2, 3, None), ("piwae", 2, 3, None),
        ("ciwae", 1, 4, 0.3), ("dreg", 1, 4, None),
    ]:
        eps = normal("posterior", groups * k * BATCH * LATENT).reshape(groups * k, BATCH, LATENT)
        t = as_torch(p, requires_grad=True)
        log_w, held = torch_log_weights(model, t, torch.tensor(x), torch.tensor(eps))
        agree(name, log_w, held.detach())
        log_weights = lambda: second.log_weights(p, x, eps)
        agree(name, log_w, log_weights())
        whole = torch_iwae(log_w), lambda: numpy_iwae(log_weights())
        parts = torch_iwae(log_w, groups), lambda: numpy_iwae(log_weights(), groups)
        # What is reported and has the decoder's gradients, and what has the encoder's.
        match name:
            case "iwae":
                reported = encoder = whole
            case "miwae":
                reported = encoder = parts
            case "piwae":
                reported, encoder = whole, parts
            case "ciwae":
                reported = encoder = (
                    -elbo_weight * log_w.mean() + (1 - elbo_weight) * whole[0],
                    lambda: -elbo_weight * log_weights().mean() + (1 - elbo_weight) * whole[1](),
                )
            case "dreg":
                reported, encoder = whole, (torch_dreg(log_w, held), numpy_dreg(model, p, x, eps))
        grads = {}
        for (scalar, again), is_its in [(reported, lambda path: not of_encoder(path)), (encoder, of_encoder)]:
            its = {path: leaf for path, leaf in t.items() if is_its(path)}
            agree(name, scalar, again())
            found = torch.autograd.grad(scalar, list(its.values()), retain_graph=True)
            for path, g in zip(its, found):
                agree((name, path), g, differences(again, p[path]), 2e-8)
                grads[path] = g
        yield {
            "name": name, "model": model_toml, "x": "binary", "groups": groups, "k": k,
            **({} if elbo_weight is None else {"elbo_weight": elbo_weight}),
            "loss": listed(reported[0])[0], "log_weights": listed(log_w), "gradients": by_path(grads),
        }


# ---------------------------------------------------------------- whole models of further choices

CLASSES = 3
MLP = "hidden = [7, 5]\nactivation = \"tanh\""
WHOLE = [
    # name, shape of x, classes, kind of x, model (without `latent`), objective, epoch
    ("conv", [1, 8, 8], 0, "binary",
     '[model.encoder]\nkind = "conv"\nchannels = [4, 6]\nhidden = [5]\nactivation = "tanh"\n'
     'residual = 1\ngroups = 2\n', "", 0.0),
    ("conv of two channels, conditional, a spread of each pixel", [2, 2, 4], CLASSES, "signed",
     'condition = "label"\n[model.encoder]\nkind = "conv"\nchannels = [4]\nhidden = []\n'
     'activation = "silu"\nresidual = 2\nhead_depth = 2\n'
     '[model.likelihood]\nkind = "gaussian"\nspread = "pixel"\n', "samples = 2", 0.0),
    ("gated", [1, 3, 4], 0, "binary",
     f"[model.encoder]\n{MLP}\ngated = true\nhead_depth = 2\n", "", 0.0),
    ("conditional", [1, 3, 4], CLASSES, "binary",
     f'condition = "label"\n[model.encoder]\n{MLP}\n', "samples = 3\nbeta = 2.0", 0.0),
    ("capacity that rises, one spread", [1, 3, 4], 0, "signed",
     f'[model.encoder]\n{MLP}\n[model.likelihood]\nkind = "gaussian"\nsigma = 0.7\nspread = "global"\n',
     "beta = 4.0\ncapacity = 3.0\ncapacity_epochs = 2.0", 1.0),
    ("capacity that is exceeded", [1, 3, 4], 0, "binary", f"[model.encoder]\n{MLP}\n",
     "beta = 4.0\ncapacity = 0.2\ncapacity_epochs = 2.0", 1.0),
    ("regularized autoencoder", [1, 3, 4], 0, "binary",
     f'[model.encoder]\n{MLP}\n[model.posterior]\nkind = "point"\n',
     "beta = 0.0\nlatent_penalty = 0.3\ndecoder_penalty = 0.01", 0.0),
    ("conditional with a prior of posteriors", [1, 3, 4], CLASSES, "binary",
     f'condition = "label"\n[model.encoder]\n{MLP}\n[model.prior]\nkind = "vamp"\nk = 4\n',
     "samples = 2", 0.0),
    ("flow towards a learned mixture", [1, 3, 4], 0, "binary",
     f'[model.encoder]\n{MLP}\n[model.posterior]\nkind = "gaussian"\nflow_steps = 2\nflow_hidden = 7\n'
     '[model.prior]\nkind = "mixture"\nk = 3\ncomponents = "learned"\nradius = 1.5\nsigma = 0.8\n',
     "samples = 2\nbeta = 1.5", 0.0),
    ("conv of three channels", [3, 8, 4], 0, "grey",
     '[model.encoder]\nkind = "conv"\nchannels = [4, 5]\nhidden = []\nactivation = "elu"\n'
     'residual = 0\n', "", 0.0),
]

SECOND_LEVEL = '[model.prior]\nkind = "hierarchical"\nlatent = 2\n'
WHOLE_OF_TWO_LEVELS = [
    ("bound, two levels", [1, 3, 4], 0, "binary",
     f"[model.encoder]\n{MLP}\n{SECOND_LEVEL}hidden = [6, 4]\n", "samples = 2\nbeta = 1.5", 0.0),
    ("importance weights, two levels", [1, 3, 4], 0, "signed",
     f'[model.encoder]\n{MLP}\n{SECOND_LEVEL}hidden = [4]\nactivation = "silu"\n'
     '[model.likelihood]\nkind = "gaussian"\nsigma = 0.7\n', 'kind = "iwae"\nsamples = 4', 0.0),
    ("groups of importance weights, two levels below a flow, conditional", [1, 3, 4], CLASSES, "binary",
     f'condition = "label"\n[model.encoder]\n{MLP}\n[model.posterior]\nkind = "gaussian"\n'
     f'flow_steps = 1\nflow_hidden = 7\n{SECOND_LEVEL}hidden = []\n',
     'kind = "iwae"\nsamples = 3\ngroups = 2\nelbo_weight = 0.3', 0.0),
]

LATENT_OF_CODES = 6
WIDER = "hidden = [9]\nactivation = \"elu\""
WHOLE_OF_CODES = [
    # name, shape of x, classes, kind of x, model (without `latent` and the posterior), posterior,
    # objective, steps before
    ("codes that learn by their gradient", [1, 3, 4], 0, "binary",
     f"[model.encoder]\n{WIDER}\nhead_depth = 2\n",
     {"codes": 14, "width": 2, "commitment": 0.4, "codebook": "gradient", "decay": 0.9, "restart": 0.0},
     "beta = 0.0", 0),
    ("codes that are moving averages, conditional", [1, 3, 4], CLASSES, "signed",
     'condition = "label"\n[model.encoder]\nhidden = [7]\nactivation = "tanh"\n'
     '[model.likelihood]\nkind = "gaussian"\nsigma = 0.7\n',
     {"codes": 7, "width": 3, "commitment": 0.25, "codebook": "moving-average", "decay": 0.7,
      "restart": 0.0},
     "beta = 0.0", 3),
    ("moving averages that start again", [1, 3, 4], 0, "binary", f"[model.encoder]\n{WIDER}\n",
     {"codes": 7, "width": 2, "commitment": 1.5, "codebook": "moving-average", "decay": 0.6,
      "restart": 0.3},
     "beta = 0.0\ndecoder_penalty = 0.01", 4),
    ("codes that learn by their gradient and start again, more than points", [1, 3, 4], 0, "binary",
     f"[model.encoder]\n{WIDER}\n",
     {"codes": 12, "width": 3, "commitment": 0.25, "codebook": "gradient", "decay": 0.2, "restart": 0.2},
     "beta = 0.0", 2),
    # What their averages hold of old points is soon next to nothing.
    ("moving averages of which some have no points", [1, 3, 4], 0, "binary", f"[model.encoder]\n{WIDER}\n",
     {"codes": 6, "width": 2, "commitment": 0.25, "codebook": "moving-average", "decay": 0.001,
      "restart": 0.0},
     "beta = 0.0", 6),
]


def one_hot(classes):
    return np.eye(classes)[np.arange(BATCH) % classes] if classes else np.zeros((BATCH, 0))


def whole_parameters(model, shape, classes):
    """All weights of a model by path, as the program starts with them."""
    p = {}
    encoder, latent, numbers = model["encoder"], model["latent"], int(np.prod(shape))
    hidden, depth = encoder["hidden"], encoder.get("head_depth", 1)

    def drawn(path, shape, bound, centre=0.0):
        u = np.float64(uniform(path, int(np.prod(shape))))
        p[path] = np.float64(np.float32(centre + 2 * bound * (u - 0.5))).reshape(shape)

    def constant(path, shape, value):
        p[path] = np.full(shape, float(np.float32(value)))

    def chain(path, widths):
        for i, (a, b) in enumerate(pairwise(widths)):
            p.update(linear(f"{path}.{i}", a, b))

    def trunk(path, widths):
        chain(f"{path}.layers", widths)
        if encoder.get("gated", False):
            chain(f"{path}.gates", widths)

    def conv(path, before, after):
        bound = 1 / np.sqrt(9.0 * before)
        drawn(f"{path}.weight", [after, before, 3, 3], bound)
        drawn(f"{path}.bias", [after], bound)

    def stages(path, widths):
        for i, (before, after) in enumerate(widths):
            layers = [("first", before)]
            layers += [(f"blocks.{b}.{l}", after) for b in range(encoder["residual"]) for l in (0, 1)]
            for layer, inputs in layers:
                at = f"{path}.stages.{i}.{layer}"
                conv(f"{at}.conv", inputs, after)
                if encoder.get("groups", 0) > 0:
                    constant(f"{at}.norm.scale", [after], 1.0)
                    constant(f"{at}.norm.shift", [after], 0.0)

    likelihood = model.get("likelihood", {})
    outputs = 2 if likelihood.get("spread") == "pixel" else 1
    if encoder.get("kind", "mlp") == "conv":
        channels = encoder["channels"]
        flat = channels[-1] * shape[1] * shape[2] // 4 ** len(channels)
        stages("encoder", pairwise([shape[0] + classes, *channels]))
        trunk("encoder.trunk", [flat, *hidden])
        features = [flat, *hidden][-1]
        trunk("decoder.trunk", [latent + classes, *hidden[::-1], flat])
        stages("decoder", pairwise([*channels[::-1], channels[0]]))
        conv("decoder.output", channels[0], shape[0] * outputs)
    else:
        trunk("encoder", [numbers + classes, *hidden])
        features = hidden[-1]
        trunk("decoder.trunk", [latent + classes, *hidden[::-1]])
        p.update(linear("decoder.output", hidden[0], numbers * outputs))

    posterior = model.get("posterior", {})
    flow = posterior.get("flow_steps", 0)
    heads = {"point": ["mean"], "vq": ["points"]}.get(posterior.get("kind"), ["mean", "log_var"])
    if posterior.get("kind") == "vq":
        drawn("posterior.codebook", [posterior["codes"], posterior["width"]], 1.0)
        constant("posterior.uses", [posterior["codes"]], 1.0)
    for head in heads + ["context"] * (flow > 0):
        chain(f"posterior.{head}.trunk.layers", [features] * depth)
        p.update(linear(f"posterior.{head}.output", features, latent))
    for i in range(flow):
        sizes = {"latent": latent, "context": latent, "hidden": posterior["flow_hidden"]}
        for name, of in IAF_SHAPES.items():
            path, its_shape = f"posterior.flow.{i}.{name}", [sizes[s] for s in of]
            if name.endswith("_bias"):
                constant(path, its_shape, 0.0)
            elif name in ("mean", "gate"):
                drawn(path, its_shape, 0.1 / np.sqrt(sizes["hidden"]))
            else:
                drawn(path, its_shape, 1 / np.sqrt(2.0 * latent))

    prior = model.get("prior", {})
    if prior.get("kind") == "vamp":
        drawn("prior.inputs", [prior["k"], numbers], 0.01 * np.sqrt(3.0), 0.05)
        drawn("prior.classes", [prior["k"], classes], 1.0)
    if prior.get("kind") == "mixture":
        constant("prior.learned.logits", [prior["k"]], 0.0)
        drawn("prior.learned.mean", [prior["k"], latent], prior["radius"] * np.sqrt(3.0))
        constant("prior.learned.log_var", [prior["k"], latent], 2 * np.log(prior["sigma"]))
    if prior.get("kind") == "hierarchical":
        inner, widths = prior["latent"], prior["hidden"]
        for net, first, widths, last in [
            ("inference", latent, widths, inner), ("generation", inner, widths[::-1], latent)
        ]:
            chain(f"prior.{net}.trunk.layers", [first, *widths])
            for head in ["mean", "log_var"]:
                p.update(linear(f"prior.{net}.{head}.output", [first, *widths][-1], last))
    if likelihood.get("spread") == "global":
        constant("likelihood.log_spread", [1], np.log(likelihood["sigma"]))
    return p


def of_prior(p):
    """Its weights by the rest of their path."""
    return {path.removeprefix("prior."): v for path, v in p.items() if path.startswith("prior.")}


class TorchWhole:
    """Encoder, decoder, prior and objective by PyTorch's own layers and distributions."""

    def __init__(self, model, shape):
        self.model, self.shape, self.encoder = model, shape, model["encoder"]
        self.act = TORCH_ACTIVATION[self.encoder.get("activation", "relu")]

    def trunk(self, p, path, x):
        i = 0
        while f"{path}.layers.{i}.weight" in p:
            h, gate = torch_linear(p, f"{path}.layers.{i}", x), f"{path}.gates.{i}"
            # glu(a, b) is a sigmoid(b).
            gated = f"{gate}.weight" in p
            x = functional.glu(torch.cat([h, torch_linear(p, gate, x)], 1)) if gated else self.act(h)
            i += 1
        return x

    def head(self, p, path, x):
        return torch_linear(p, f"{path}.output", self.trunk(p, f"{path}.trunk", x))

    def conv(self, p, path, x, stride=1):
        x = functional.conv2d(x, p[f"{path}.weight"], p[f"{path}.bias"], stride=stride, padding=1)
        return x

    def layer(self, p, path, x, stride=1):
        x = self.conv(p, f"{path}.conv", x, stride)
        if f"{path}.norm.scale" in p:
            norm = p[f"{path}.norm.scale"], p[f"{path}.norm.shift"]
            x = functional.group_norm(x, self.encoder["groups"], *norm, eps=1e-5)
        return x

    def stage(self, p, path, x, stride):
        x = self.act(self.layer(p, f"{path}.first", x, stride))
        for b in range(self.encoder["residual"]):
            inner = self.layer(p, f"{path}.blocks.{b}.0", x)
            x = self.act(x + self.layer(p, f"{path}.blocks.{b}.1", self.act(inner)))
        return x

    def features(self, p, x, y):
        if self.encoder.get("kind", "mlp") == "mlp":
            return self.trunk(p, "encoder", torch.cat([x, y], 1))
        planes = y[:, :, None, None].expand(-1, -1, *self.shape[1:])
        x = torch.cat([x.reshape(-1, *self.shape), planes], 1)
        for i in range(len(self.encoder["channels"])):
            x = self.stage(p, f"encoder.stages.{i}", x, 2)
        return self.trunk(p, "encoder.trunk", x.flatten(1))

    def heads(self, p, x, y):
        h = self.features(p, x, y)
        names = ["mean", "log_var", "context", "points"]
        return [self.head(p, f"posterior.{n}", h) for n in names if f"posterior.{n}.output.weight" in p]

    def decode(self, p, z, y):
        z = torch.cat([z, y], 1)
        if self.encoder.get("kind", "mlp") == "mlp":
            return self.head(p, "decoder", z)
        channels = self.encoder["channels"]
        sides = [side >> len(channels) for side in self.shape[1:]]
        x = self.trunk(p, "decoder.trunk", z).reshape(-1, channels[-1], *sides)
        for i in range(len(channels)):
            x = functional.interpolate(x, scale_factor=2, mode="nearest")
            x = self.stage(p, f"decoder.stages.{i}", x, 1)
        return self.conv(p, "decoder.output", x).flatten(1)

    def log_prob(self, p, output, x):
        likelihood, n = self.model.get("likelihood", {}), x.shape[-1]
        match likelihood.get("spread", "fixed"):
            case "fixed":
                return torch_log_prob(likelihood, output, x)
            case "global":
                log_scale = p["likelihood.log_spread"]
            case "pixel":
                log_scale = output[..., n:]
        each = torch_of_location_and_scale("gaussian", output[..., :n], log_scale, x, None, None)
        return each.sum(-1)

    def log_prior(self, p, z):
        match self.model.get("prior", {}).get("kind", "standard"):
            case "mixture":
                of = [p[f"prior.learned.{name}"] for name in ["mean", "log_var", "logits"]]
            case "vamp":
                y = torch.softmax(p["prior.classes"], 1)
                mean, log_var = self.heads(p, p["prior.inputs"].clamp(0, 1), y)
                of = [mean, log_var, torch.zeros(len(mean))]
            case "hierarchical":
                prior = self.model["prior"]
                shape = *z.shape[:-1], prior["latent"]
                eps = torch.tensor(normal("second level", int(np.prod(shape))).reshape(shape))
                return torch_second_level(of_prior(p), z, eps, prior.get("activation", "tanh"))
            case "standard":
                return td.Normal(0.0, 1.0).log_prob(z).sum(-1)
        return torch_mixture(z, *of)

    def squares_of_decoder(self, p):
        return sum((leaf**2).sum() for path, leaf in p.items() if path.startswith("decoder."))

    def loss(self, objective, p, x, y, eps, epoch):
        """Total, and the terms by name."""
        heads = self.heads(p, x, y)
        if "posterior.codebook" in p:
            codes, z, added, terms = torch_vq(self.model["posterior"], *heads, p["posterior.codebook"])
            self.codes = codes
            reconstruction = -self.log_prob(p, self.decode(p, z, y), x).mean()
            total, terms = reconstruction + added, {"reconstruction": reconstruction} | terms
            if "decoder_penalty" in objective:
                terms["decoder_penalty"] = self.squares_of_decoder(p)
                total = total + objective["decoder_penalty"] * terms["decoder_penalty"]
            return total, terms
        if len(heads) == 1:
            (z,) = heads
            reconstruction = -self.log_prob(p, self.decode(p, z, y), x).mean()
            latent = 0.5 * (z**2).sum(1).mean()
            decoder = self.squares_of_decoder(p)
            total = reconstruction + objective["latent_penalty"] * latent
            terms = {"reconstruction": reconstruction, "latent_penalty": latent, "decoder_penalty": decoder}
            return total + objective["decoder_penalty"] * decoder, terms
        q = td.Normal(heads[0], torch.exp(heads[1] / 2))
        z = q.mean + q.stddev * eps
        log_q = q.log_prob(z).sum(-1)
        if len(heads) == 3:
            flow = {n.removeprefix("posterior.flow."): v for n, v in p.items() if ".flow." in n}
            draws = []
            for z, start in zip(z, log_q):
                for i in range(self.model["posterior"]["flow_steps"]):
                    z, log_det = torch_iaf(flow, i, z.flip(-1) if i else z, heads[2])
                    start = start - log_det
                draws.append((z, start))
            z, log_q = (torch.stack(parts) for parts in zip(*draws))
        log_x = torch.stack([self.log_prob(p, self.decode(p, one, y), x) for one in z])
        if objective.get("kind") == "iwae":
            log_w, share = log_x + self.log_prior(p, z) - log_q, objective.get("elbo_weight", 0.0)
            neg_elbo = -log_w.mean()
            total = share * neg_elbo + (1 - share) * torch_iwae(log_w, objective.get("groups", 1))
            return total, {"neg_elbo": neg_elbo}
        reconstruction = -log_x.mean()
        if len(heads) == 2 and "prior" not in self.model:
            kl = td.kl_divergence(q, td.Normal(0.0, 1.0)).sum(1).mean()
        else:
            kl = (log_q - self.log_prior(p, z)).mean()
        counted = kl
        if objective.get("capacity", 0.0) > 0:
            counted = (kl - objective["capacity"] * min(1.0, epoch / objective["capacity_epochs"])).abs()
        total = reconstruction + objective.get("beta", 1.0) * counted
        return total, {"reconstruction": reconstruction, "kl": kl, "neg_elbo": reconstruction + kl}


class NumpyWhole:
    """The same by the definitions of its layers."""

    def __init__(self, model, shape):
        self.model, self.shape, self.encoder = model, shape, model["encoder"]
        self.act = NUMPY_ACTIVATION[self.encoder.get("activation", "relu")]
        self.vq = None

    def trunk(self, p, path, x):
        affine = lambda layer, x: x @ p[f"{path}.{layer}.weight"] + p[f"{path}.{layer}.bias"]
        i = 0
        while f"{path}.layers.{i}.weight" in p:
            if f"{path}.gates.{i}.weight" in p:
                x = scipy.special.expit(affine(f"gates.{i}", x)) * affine(f"layers.{i}", x)
            else:
                x = self.act(affine(f"layers.{i}", x))
            i += 1
        return x

    def head(self, p, path, x):
        return self.trunk(p, f"{path}.trunk", x) @ p[f"{path}.output.weight"] + p[f"{path}.output.bias"]

    def conv(self, p, path, x, stride=1):
        """out[i, j] = bias + sum over a, b of weight[a, b] x[stride i + a - 1, stride j + b - 1]."""
        h, w = x.shape[2] // stride, x.shape[3] // stride
        padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)])
        out = np.zeros([len(x), len(p[f"{path}.bias"]), h, w]) + p[f"{path}.bias"][:, None, None]
        for a in range(3):
            for b in range(3):
                seen = padded[:, :, a : a + stride * h : stride, b : b + stride * w : stride]
                out += np.einsum("oc,nchw->nohw", p[f"{path}.weight"][:, :, a, b], seen)
        return out

    def layer(self, p, path, x, stride=1):
        x = self.conv(p, f"{path}.conv", x, stride)
        if f"{path}.norm.scale" in p:
            for group in np.split(np.arange(x.shape[1]), self.encoder["groups"]):
                part = x[:, group]
                mean, variance = (f(part, axis=(1, 2, 3), keepdims=True) for f in (np.mean, np.var))
                scale, shift = (p[f"{path}.norm.{n}"][group][:, None, None] for n in ["scale", "shift"])
                x[:, group] = (part - mean) / np.sqrt(variance + 1e-5) * scale + shift
        return x

    def stage(self, p, path, x, stride):
        x = self.act(self.layer(p, f"{path}.first", x, stride))
        for b in range(self.encoder["residual"]):
            inner = self.act(self.layer(p, f"{path}.blocks.{b}.0", x))
            x = self.act(x + self.layer(p, f"{path}.blocks.{b}.1", inner))
        return x

    def heads(self, p, x, y):
        if self.encoder.get("kind", "mlp") == "mlp":
            h = self.trunk(p, "encoder", np.hstack([x, y]))
        else:
            pictures = x.reshape(-1, *self.shape)
            planes = y[:, :, None, None] * np.ones(self.shape[1:])
            h = np.concatenate([pictures, planes], 1)
            for i in range(len(self.encoder["channels"])):
                h = self.stage(p, f"encoder.stages.{i}", h, 2)
            h = self.trunk(p, "encoder.trunk", h.reshape(len(h), -1))
        paths = [f"posterior.{name}" for name in ["mean", "log_var", "context", "points"]]
        return [self.head(p, path, h) for path in paths if f"{path}.output.weight" in p]

    def decode(self, p, z, y):
        z = np.hstack([z, y])
        if self.encoder.get("kind", "mlp") == "mlp":
            return self.head(p, "decoder", z)
        channels = self.encoder["channels"]
        sides = [side >> len(channels) for side in self.shape[1:]]
        x = self.trunk(p, "decoder.trunk", z).reshape(-1, channels[-1], *sides)
        for i in range(len(channels)):
            x = self.stage(p, f"decoder.stages.{i}", x.repeat(2, 2).repeat(2, 3), 1)
        return self.conv(p, "decoder.output", x).reshape(len(z), -1)

    def log_prob(self, p, output, x):
        likelihood, n = self.model.get("likelihood", {}), x.shape[-1]
        match likelihood.get("spread", "fixed"):
            case "fixed":
                return numpy_log_prob(likelihood, output, x)
            case "global":
                log_scale = p["likelihood.log_spread"]
            case "pixel":
                log_scale = output[..., n:]
        return scipy.stats.norm.logpdf(x, output[..., :n], np.exp(log_scale)).sum(-1)

    def log_prior(self, p, z, draw):
        """Of one of the draws."""
        match self.model.get("prior", {}).get("kind", "standard"):
            case "hierarchical":
                prior, of_draw = self.model["prior"], BATCH * self.model["prior"]["latent"]
                eps = normal("second level", (draw + 1) * of_draw)[-of_draw:].reshape(BATCH, -1)
                return numpy_second_level(of_prior(p), z, eps, prior.get("activation", "tanh"))
            case "mixture":
                of = [p[f"prior.learned.{name}"] for name in ["mean", "log_var", "logits"]]
            case "vamp":
                assert p["prior.inputs"].min() > 0.01
                y = scipy.special.softmax(p["prior.classes"], axis=1)
                mean, log_var = self.heads(p, p["prior.inputs"], y)
                of = [mean, log_var, np.zeros(len(mean))]
            case "standard":
                return scipy.stats.norm.logpdf(z).sum(-1)
        return numpy_mixture(z, *of)

    def loss(self, objective, p, x, y, eps, epoch):
        heads = self.heads(p, x, y)
        if "posterior.codebook" in p:
            # The codes, and what stands still, are those of the first call.
            codebook = p["posterior.codebook"]
            self.vq = self.vq or numpy_vq(self.model["posterior"], *heads, codebook)
            _, z, added = self.vq
            total = -self.log_prob(p, self.decode(p, z(*heads), y), x).mean() + added(*heads, codebook)
            squares = [(leaf**2).sum() for path, leaf in p.items() if path.startswith("decoder.")]
            return total + objective.get("decoder_penalty", 0.0) * np.sum(squares)
        if len(heads) == 1:
            total = -self.log_prob(p, self.decode(p, heads[0], y), x).mean()
            total += objective["latent_penalty"] * (heads[0] ** 2).sum() / (2 * len(x))
            squares = [(leaf**2).sum() for path, leaf in p.items() if path.startswith("decoder.")]
            return total + objective["decoder_penalty"] * np.sum(squares)
        mean, log_var = heads[:2]
        flow = {n.removeprefix("posterior.flow."): v for n, v in p.items() if ".flow." in n}
        log_x, log_ratio = [], []
        for draw, e in enumerate(eps):
            z = mean + np.exp(log_var / 2) * e
            log_q = scipy.stats.norm.logpdf(e).sum(1) - log_var.sum(1) / 2
            for i in range(len(flow) // len(IAF_SHAPES)):
                z, log_det = numpy_iaf(flow, i, z[:, ::-1].copy() if i else z, heads[2])
                log_q = log_q - log_det
            log_x.append(self.log_prob(p, self.decode(p, z, y), x))
            log_ratio.append(log_q - self.log_prior(p, z, draw))
        reconstruction, kl = -np.mean(log_x), np.mean(log_ratio)
        if objective.get("kind") == "iwae":
            share = objective.get("elbo_weight", 0.0)
            bound = numpy_iwae(np.array(log_x) - np.array(log_ratio), objective.get("groups", 1))
            return share * (reconstruction + kl) + (1 - share) * bound
        if len(heads) == 2 and "prior" not in self.model:
            kl = 0.5 * (mean**2 + np.exp(log_var) - log_var - 1.0).sum(1).mean()
        if objective.get("capacity", 0.0) > 0:
            capacity = objective["capacity"] * min(1.0, epoch / objective["capacity_epochs"])
            self.apart = kl - capacity
            kl = abs(self.apart)
        return reconstruction + objective.get("beta", 1.0) * kl


def whole_case(name, shape, classes, kind, model, objective_toml, epoch, p, idle=(), programs=None):
    """The objective, every term of it, and its gradient in every parameter; and both programs. Nothing but
    `idle` parameters may have no gradient."""
    objective, y = tomllib.loads(objective_toml), one_hot(classes)
    x, latent = data(kind, "x", int(np.prod(shape))), model["latent"]
    k = objective.get("samples", 1) * objective.get("groups", 1)
    eps = normal("posterior", k * BATCH * latent).reshape(k, BATCH, latent)
    t = as_torch(p, requires_grad=True)
    first, second = programs or (TorchWhole(model, shape), NumpyWhole(model, shape))
    total, terms = first.loss(objective, t, *map(torch.tensor, (x, y, eps)), epoch)
    again = lambda: second.loss(objective, p, x, y, eps, epoch)
    grads = gradients(name, total, t, again, p, 1e-7)
    largest = {path: float(g.abs().max()) for path, g in grads.items()}
    count = sum(g.numel() for g in grads.values())
    print(f"  {name}: {count} parameters, loss {float(total.detach()):.4f}")
    assert all((size > 1e-7) != (path in idle) for path, size in largest.items()), (name, largest)
    return first, second, {
        "loss": listed(total)[0], "terms": [[term, listed(value)[0]] for term, value in terms.items()],
        "gradients": by_path(grads),
    }


def whole_cases(table):
    for name, shape, classes, kind, model_toml, objective_toml, epoch in table:
        model_toml = f"[model]\nlatent = {LATENT}\n{model_toml}"
        model = tomllib.loads(model_toml)["model"]
        p = whole_parameters(model, shape, classes)
        _, second, found = whole_case(name, shape, classes, kind, model, objective_toml, epoch, p)
        yield second, {
            "name": name, "model": model_toml, "objective": f"[objective]\n{objective_toml}\n",
            "input": shape, "classes": classes, "x": kind, "epoch": epoch, **found,
        }


def network_cases():
    sides = set()
    for second, case in whole_cases(WHOLE):
        if "capacity" in case["objective"]:
            assert abs(second.apart) > 0.05
            sides.add(second.apart > 0)
        yield case
    assert sides == {True, False}


def two_level_cases():
    for _, case in whole_cases(WHOLE_OF_TWO_LEVELS):
        yield {"part": "whole", **case}


def code_cases():
    """Steps that move the codebook and nothing else, each on its own data, and the loss after them."""
    for name, shape, classes, kind, model_toml, settings, objective_toml, steps in WHOLE_OF_CODES:
        model_toml = f"[model]\nlatent = {LATENT_OF_CODES}\n{model_toml}[model.posterior]\n"
        model_toml += vq_text(settings)
        model = tomllib.loads(model_toml)["model"]
        p, y = whole_parameters(model, shape, classes), one_hot(classes)
        paths = ["posterior.uses", "posterior.codebook"]
        averages, said = NumpyAverages(settings, *(p[path] for path in paths)), []
        for step in range(steps):
            x = data(kind, f"x/{step}", int(np.prod(shape)))
            t = as_torch(p)
            (points,) = TorchWhole(model, shape).heads(t, *map(torch.tensor, (x, y)))
            codes = torch_vq(settings, points, t["posterior.codebook"])[0]
            order = np.argsort(uniform(f"codes that start again/{step}", len(codes)), kind="stable")
            after = torch_absorb(settings, *(t[path] for path in paths), points, codes, order)
            (points,) = NumpyWhole(model, shape).heads(p, x, y)
            averages.step(points, numpy_codes(points, averages.e), order)
            for what, one, other in zip(paths, after, (averages.n, averages.e)):
                agree((name, step, what), one, other)
                p[what] = one.numpy()
            said.append({what: listed(one) for what, one in zip(paths, after)})
        print(f"  {name}: {averages.restarts} started again in {steps} steps")
        assert (averages.restarts > 0) == (settings["restart"] > 0), name
        idle = paths if settings["codebook"] == "moving-average" else paths[:1]
        first, second, found = whole_case(
            name, shape, classes, kind, model, objective_toml, 0.0, p, idle
        )
        codes = second.vq[0]
        agree((name, "codes"), first.codes, codes)
        agree((name, "perplexity"), dict(found["terms"])["perplexity"], numpy_perplexity(codes), 1e-9)
        yield {
            "part": "whole", "name": name, "model": model_toml,
            "objective": f"[objective]\n{objective_toml}\n", "input": shape, "classes": classes,
            "x": kind, "epoch": 0.0, "steps": said, "codes": codes.tolist(),
            "vectors": listed(p["posterior.codebook"][codes]), **found,
        }


# ---------------------------------------------------------------- whole objectives

# As many layers as in CRITIC, and no unit near its kink.
HIDDEN_OF_CRITIC = [4, 8]
SIZE_OF_CRITIC = f"critic = {{ hidden = {HIDDEN_OF_CRITIC}, slope = 0.2 }}"
CONDITIONAL = f'condition = "label"\n[model.encoder]\n{MLP}\n'
PLAYED = [
    # name, classes, model (without `latent`), objective
    ("total correlation of a batch", 0, f"[model.encoder]\n{MLP}\n",
     'kind = "tc"\nalpha = 0.7\nbeta = 3.0\ngamma = 1.9'),
    ("total correlation by a discriminator", 0, f"[model.encoder]\n{MLP}\n",
     f'kind = "tc"\nestimator = "discriminator"\nbeta = 3.5\n{SIZE_OF_CRITIC}'),
    ("discrepancy, imq", 0, f"[model.encoder]\n{MLP}\n",
     'kind = "mmd"\nweight = 5.0\nbeta = 0.3\nkernel = "imq"\nbandwidth = 0.7'),
    ("discrepancy, gaussian, conditional", CLASSES, CONDITIONAL,
     'kind = "mmd"\nweight = 7.0\nbeta = 0.4\nkernel = "gaussian"\nbandwidth = 1.2'),
    ("critic on z, conditional", CLASSES, CONDITIONAL,
     'kind = "adversarial"\nover = "z"\nloss = "logistic"\nweight = 2.5\nreconstruction = 0.6\n'
     f"beta = 0.3\n{SIZE_OF_CRITIC}"),
    ("critic on x, penalized", 0, f"[model.encoder]\n{MLP}\n",
     'kind = "adversarial"\nover = "x"\nloss = "wasserstein-gp"\nweight = 1.7\nreconstruction = 0.6\n'
     f"penalty = 4.0\n{SIZE_OF_CRITIC}"),
    ("critic on pairs, penalized, conditional", CLASSES, CONDITIONAL,
     'kind = "adversarial"\nover = "xz"\nloss = "wasserstein-gp"\nweight = 1.7\nreconstruction = 0.6\n'
     f"penalty = 4.0\n{SIZE_OF_CRITIC}"),
    ("critic on x alone, conditional", CLASSES, CONDITIONAL,
     'kind = "adversarial"\nover = "x"\nloss = "logistic"\nweight = 1.7\nreconstruction = 0.0\n'
     f"{SIZE_OF_CRITIC}"),
    ("critic on pairs, conditional", CLASSES, CONDITIONAL,
     'kind = "adversarial"\nover = "xz"\nloss = "logistic"\nweight = 2.5\nreconstruction = 0.6\n'
     f"beta = 0.3\n{SIZE_OF_CRITIC}"),
    ("critic on pairs alone, clipped", 0, f"[model.encoder]\n{MLP}\n",
     'kind = "adversarial"\nover = "xz"\nloss = "wasserstein-clip"\nweight = 0.7\n'
     f"reconstruction = 0.0\n{SIZE_OF_CRITIC}"),
]


def normal_rows(name, draw=0):
    """Of one of the draws."""
    rows = slice(draw * BATCH * LATENT, None)
    return normal(name, (draw + 1) * BATCH * LATENT)[rows].reshape(BATCH, LATENT)


def orders():
    """In which each dimension of z is shuffled over the batch, no two alike and none as it was."""
    keys = [uniform(f"dimension {d} of q(z)", BATCH) for d in range(LATENT)]
    found = [np.argsort(k, kind="stable") for k in keys]
    assert len({tuple(order) for order in [*found, range(BATCH)]}) == LATENT + 1
    return found


class TorchPlayed(TorchWhole):
    """The loss of one player, `held` being the other's weights."""

    def __init__(self, model, shape, player, held):
        super().__init__(model, shape)
        self.player, self.held = player, as_torch(held)

    def rows(self, over, p, x, y, z):
        """What the critic is to take for real, and for fake."""
        prior = torch.tensor(normal_rows("prior"))
        decoded = torch_mean(self.model.get("likelihood", {}), self.decode(p, prior, y))
        real, fake = {"z": ([prior], [z]), "x": ([x], [decoded]), "xz": ([x, z], [decoded, prior])}[over]
        return torch.cat([*real, y], 1), torch.cat([*fake, y], 1)

    def loss(self, objective, p, x, y, eps, epoch):
        p, critic = (p, self.held) if self.player == "model" else (self.held, p)
        score = lambda rows: torch_critic(critic, rows, objective["critic"]["slope"])
        mean, log_var = self.heads(p, x, y)
        q = td.Normal(mean, torch.exp(log_var / 2))
        draw = lambda eps: q.mean + q.stddev * eps
        z = draw(eps[0])
        if self.player == "critic":
            return self.loss_of_critic(objective, p, x, y, z, draw, score)
        reconstruction = -self.log_prob(p, self.decode(p, z, y), x).mean()
        kl = td.kl_divergence(q, td.Normal(0.0, 1.0)).sum(1).mean()
        terms = {"reconstruction": reconstruction, "kl": kl, "neg_elbo": reconstruction + kl}
        match objective:
            case {"kind": "tc", "estimator": "discriminator", "beta": beta}:
                terms["total_correlation"] = score(z).mean()
                return reconstruction + kl + (beta - 1) * terms["total_correlation"], terms
            case {"kind": "tc"}:
                _, _, parts = torch_decomposed(q, z, stratified_weights())
                weights = [objective[name] for name in ["alpha", "beta", "gamma"]]
                total = sum(weight * part for weight, part in zip(weights, parts.values()))
                return reconstruction + total, terms | parts
            case {"kind": "mmd", "weight": weight, "beta": beta, **kernel}:
                prior = torch.tensor(normal_rows("prior"))
                terms["mmd"] = torch_mmd(z, prior, kernel["kernel"], kernel["bandwidth"])
                return reconstruction + beta * kl + weight * terms["mmd"], terms
            case {"kind": "adversarial", "over": over, "weight": weight, "reconstruction": share}:
                of_pairs, formula = over == "xz", objective["loss"].split("-")[0]
                of_scores = CRITIC_LOSSES[f"{'pairs' if of_pairs else 'generator'}, {formula}"][0]
                adversarial = of_scores(*map(score, self.rows(over, p, x, y, z)))
                total = share * reconstruction + objective.get("beta", 0.0) * kl + weight * adversarial
                return total, (terms if share > 0 else {}) | {"adversarial": adversarial}

    def loss_of_critic(self, objective, p, x, y, z, draw, score):
        if objective["kind"] == "tc":
            other = draw(torch.tensor(normal_rows("posterior", 1)))
            product = torch.stack([other[order, d] for d, order in enumerate(orders())], 1)
            joint, product = score(z), score(product)
            loss = functional.binary_cross_entropy_with_logits(joint, torch.ones(BATCH))
            loss = loss + functional.binary_cross_entropy_with_logits(product, torch.zeros(BATCH))
            return loss, {"critic_joint": joint.mean(), "critic_product": product.mean()}
        rows = self.rows(objective["over"], p, x, y, z)
        real, fake = map(score, rows)
        loss = CRITIC_LOSSES[f"critic, {objective['loss'].split('-')[0]}"][0](real, fake)
        terms = {"critic_real": real.mean(), "critic_fake": fake.mean()}
        if "penalty" in objective:
            u = torch.tensor(uniform("penalty", BATCH).astype(float))[:, None]
            between = torch.lerp(rows[1], rows[0], u).requires_grad_()
            (slopes,) = torch.autograd.grad(score(between).sum(), between, create_graph=True)
            # The way between does not lead along the condition.
            norms = slopes[:, : slopes.shape[1] - y.shape[1]].norm(dim=1)
            terms |= {"gradient_norm": norms.mean(), "gradient_penalty": ((norms - 1) ** 2).mean()}
            loss = loss + objective["penalty"] * terms["gradient_penalty"]
        return loss, terms


class NumpyPlayed(NumpyWhole):
    """The same by the definitions."""

    def __init__(self, model, shape, player, held):
        super().__init__(model, shape)
        self.player, self.held = player, held

    def loss(self, objective, p, x, y, eps, epoch):
        p, critic = (p, self.held) if self.player == "model" else (self.held, p)
        scores = lambda rows: numpy_critic(critic, rows, objective["critic"]["slope"])
        score = lambda *parts: scores(np.hstack(parts))[0]
        mean, log_var = self.heads(p, x, y)
        sigma, prior = np.exp(log_var / 2), normal_rows("prior")
        z = mean + sigma * eps[0]
        if objective["kind"] == "adversarial":
            decoded = numpy_mean(self.model.get("likelihood", {}), self.decode(p, prior, y))
            match objective["over"]:
                case "z":
                    real, fake = [prior, y], [z, y]
                case "x":
                    real, fake = [x, y], [decoded, y]
                case "xz":
                    real, fake = [x, z, y], [decoded, prior, y]
        if self.player == "critic":
            if objective["kind"] == "tc":
                other, product = mean + sigma * normal_rows("posterior", 1), np.empty_like(z)
                for d, order in enumerate(orders()):
                    for i in range(BATCH):
                        product[i, d] = other[order[i], d]
                real, fake = [z], [product]
            real_score, fake_score = score(*real), score(*fake)
            if objective.get("loss", "logistic") == "logistic":
                probability = scipy.special.expit
                return -np.log(probability(real_score) * (1 - probability(fake_score))).mean()
            loss = fake_score.mean() - real_score.mean()
            if objective["loss"] == "wasserstein-gp":
                for real, fake, u in zip(np.hstack(real), np.hstack(fake), uniform("penalty", BATCH)):
                    between = np.float64(u) * real + (1 - np.float64(u)) * fake
                    slope = scores(between[None])[1].ravel()
                    norm = np.sqrt((slope[: slope.size - y.shape[1]] ** 2).sum())
                    loss += objective["penalty"] * (norm - 1) ** 2 / BATCH
            return loss
        reconstruction = -self.log_prob(p, self.decode(p, z, y), x).mean()
        kl = 0.5 * (mean**2 + np.exp(log_var) - log_var - 1.0).sum(1).mean()
        match objective["kind"]:
            case "mmd":
                discrepancy = numpy_mmd(z, prior, objective["kernel"], objective["bandwidth"])
                return reconstruction + objective["beta"] * kl + objective["weight"] * discrepancy
            case "tc" if "estimator" in objective:
                # KL + (beta - 1) TC, the score being log D / (1 - D).
                return reconstruction + kl + (objective["beta"] - 1) * score(z).mean()
            case "tc":
                weights = [objective[name] for name in ["alpha", "beta", "gamma"]]
                return reconstruction + weights @ numpy_decomposed(mean, sigma, z, stratified_weights())
        fake_score = score(*fake)
        if objective["loss"] == "logistic":
            adversarial = -np.log(scipy.special.expit(fake_score)).mean()
        else:
            adversarial = -fake_score.mean()
        if objective["over"] == "xz":
            # The real rows have the encoder's z in them: they are to look fake.
            real_score, logistic = score(*real), objective["loss"] == "logistic"
            looks = -np.log(1 - scipy.special.expit(real_score)) if logistic else real_score
            adversarial += looks.mean()
        total = objective["reconstruction"] * reconstruction + objective.get("beta", 0.0) * kl
        return total + objective["weight"] * adversarial


def critic_parameters(inputs):
    """As the program starts with them."""
    names = [*(f"layers.{i}" for i in range(len(CRITIC) - 1)), "output"]
    sizes, found = [inputs, *HIDDEN_OF_CRITIC, 1], {}
    for name, (n, m) in zip(names, pairwise(sizes)):
        found |= linear(f"critic.{name}", n, m)
    return {path.removeprefix("critic."): v for path, v in found.items()}


def played_cases():
    shape, kind = [1, 3, 4], "binary"
    for name, classes, model_toml, objective_toml in PLAYED:
        model_toml = f"[model]\nlatent = {LATENT}\n{model_toml}"
        model, objective = tomllib.loads(model_toml)["model"], tomllib.loads(objective_toml)
        p, critic = whole_parameters(model, shape, classes), {}
        if "critic" in objective:
            seen = {"z": LATENT, "x": NUMBERS, "xz": NUMBERS + LATENT}[objective.get("over", "z")]
            critic = critic_parameters(seen + classes)
        for player in ["model", "critic"] if critic else ["model"]:
            own, held = (p, critic) if player == "model" else (critic, p)
            idle = []
            if player == "critic" and "wasserstein" in objective_toml:
                idle = ["output.bias"]
                if classes:
                    # Each unit of the second layer is on one side of 0 for all rows here.
                    idle.append("layers.1.bias")
            elif player == "model" and objective.get("over") == "x" and not objective["reconstruction"]:
                idle = [path for path in p if of_encoder(path)]
            programs = (one(model, shape, player, held) for one in (TorchPlayed, NumpyPlayed))
            what = f"{name}: {player}"
            _, _, found = whole_case(
                what, shape, classes, kind, model, objective_toml, 0.0, own, idle, tuple(programs)
            )
            yield {
                "name": what, "player": player, "model": model_toml,
                "objective": f"[objective]\n{objective_toml}\n", "input": shape, "classes": classes,
                "x": kind, "data_set": DATA_SET, "epoch": 0.0, **found,
            }


# ---------------------------------------------------------------- bounds with two gradients

LEARNED = '[model.prior]\nkind = "mixture"\nk = 3\ncomponents = "learned"\nradius = 1.5\nsigma = 0.8\n'
VAMP = '[model.prior]\nkind = "vamp"\nk = 4\n'
SPLIT = [
    # name, classes, model (without `latent`), objective
    ("doubly reparameterized, learned mixture", 0, f"[model.encoder]\n{MLP}\n{LEARNED}",
     'kind = "iwae"\nsamples = 4\nestimator = "dreg"'),
    ("doubly reparameterized, prior of posteriors", CLASSES, f"{CONDITIONAL}{VAMP}",
     'kind = "iwae"\nsamples = 3\ngroups = 2\nestimator = "dreg"'),
    ("piwae, learned mixture", 0, f"[model.encoder]\n{MLP}\n{LEARNED}",
     'kind = "iwae"\nsamples = 3\ngroups = 2\ncombination = "piwae"'),
    ("piwae, prior of posteriors", CLASSES, f"{CONDITIONAL}{VAMP}",
     'kind = "iwae"\nsamples = 2\ngroups = 3\ncombination = "piwae"'),
]


def torch_of_two(program, q_side, p_side, x, y, eps):
    """log w with q(z|x) of some weights and p(x, z) of others, and the same with q held. A prior made of
    the encoder belongs to p."""
    mean, log_var = program.heads(q_side, x, y)
    q = td.Normal(mean, torch.exp(log_var / 2))
    z = q.mean + q.stddev * eps
    log_x = [program.log_prob(p_side, program.decode(p_side, one, y), x) for one in z]
    log_p = torch.stack(log_x) + program.log_prior(p_side, z)
    held = td.Normal(q.mean.detach(), q.stddev.detach())
    return log_p - q.log_prob(z).sum(-1), log_p - held.log_prob(z).sum(-1)


def numpy_of_two(program, q_side, p_side, x, y, eps, held=None):
    mean, log_var = program.heads(q_side, x, y)
    found = []
    for draw, e in enumerate(eps):
        z = mean + np.exp(log_var / 2) * e
        m, v = held or (mean, log_var)
        log_q = scipy.stats.norm.logpdf(z, m, np.exp(v / 2)).sum(-1)
        log_x = program.log_prob(p_side, program.decode(p_side, z, y), x)
        found.append(log_x + program.log_prior(p_side, z, draw) - log_q)
    return np.array(found)


def split_cases():
    """The gradient of p in the weights of p, and that of q in the weights of q; their sum, where the
    encoder has a part in both."""
    shape, kind = [1, 3, 4], "binary"
    for name, classes, model_toml, objective_toml in SPLIT:
        model_toml = f"[model]\nlatent = {LATENT}\n{model_toml}"
        model, objective = tomllib.loads(model_toml)["model"], tomllib.loads(objective_toml)
        p, still = (whole_parameters(model, shape, classes) for _ in range(2))
        groups, dreg = objective.get("groups", 1), "estimator" in objective
        k = groups * objective["samples"]
        x, y = data(kind, "x"), one_hot(classes)
        eps = normal("posterior", k * BATCH * LATENT).reshape(k, BATCH, LATENT)
        tensors = [torch.tensor(v) for v in (x, y, eps)]
        first, second = TorchWhole(model, shape), NumpyWhole(model, shape)
        again = lambda q_side, p_side, held=None: numpy_of_two(second, q_side, p_side, x, y, eps, held)

        t = as_torch(p, requires_grad=True)
        log_w, _ = torch_of_two(first, as_torch(still), t, *tensors)
        groups_of_p = groups if dreg else 1
        bound = torch_iwae(log_w, groups_of_p)
        of_p = gradients(name, bound, t, lambda: numpy_iwae(again(still, p), groups_of_p), p, 1e-7)

        t = as_torch(p, requires_grad=True)
        its_log_w, held = torch_of_two(first, t, as_torch(still), *tensors)
        if dreg:
            pairs = zip(its_log_w.chunk(groups), held.chunk(groups))
            scalar = sum(torch_dreg(*pair) for pair in pairs) / groups
            # The weights and q as they are now.
            w, now = np.exp(again(p, still)).reshape(groups, -1, BATCH), second.heads(still, x, y)
            squares = ((w / w.sum(1, keepdims=True)) ** 2).reshape(k, BATCH)
            later = lambda: -(squares * again(p, still, now)).sum(0).mean() / groups
        else:
            scalar, later = torch_iwae(its_log_w, groups), lambda: numpy_iwae(again(p, still), groups)
        of_q = gradients(name, scalar, t, later, p, 1e-7)

        both = [path for path in p if of_q[path].abs().max() > 1e-3 and of_p[path].abs().max() > 1e-3]
        assert (len(both) > 0) == ("vamp" in model_toml) and all(of_encoder(path) for path in both), name
        grads = {path: of_q[path] + of_p[path] for path in p}
        assert min(float(g.abs().max()) for g in grads.values()) > 1e-7, name
        yield {
            "name": name, "model": model_toml, "objective": f"[objective]\n{objective_toml}\n",
            "input": shape, "classes": classes, "x": kind, "epoch": 0.0, "loss": listed(bound)[0],
            "terms": [["neg_elbo", listed(-log_w.mean())[0]]], "gradients": by_path(grads),
        }


if __name__ == "__main__":
    for name, cases in {
        "prior": [*mixture_cases(), *realnvp_case(), *fitted_case()],
        "iaf": iaf_cases(),
        "more_likelihoods": [*continuous_bernoulli_cases(), *spread_cases()],
        "critic": critic_cases(),
        "mmd": mmd_cases(),
        "tc": tc_cases(),
        "iwae": iwae_cases(),
        "networks": network_cases(),
        "hierarchical": [*second_level_cases(), *two_level_cases()],
        "vq": [*vq_draw_cases(), *code_cases(), *code_prior_case()],
        "objectives": [*played_cases(), *split_cases()],
    }.items():
        write(name, list(cases), "tests/golden/axes.py")
