#!/usr/bin/env python3
"""Makes the golden numbers of a Gaussian prior p(z|y) that each class y has its own of: conditional_prior.json.

    python conditional_prior.py          writes conditional_prior.json into this folder

Made with Python 3.11.7, SciPy 1.17.1, NumPy 2.4.6; float64, inputs are rounded to float32.

The KL is scipy.integrate.quad of q (log q - log p), log q and log p by scipy.stats.norm, and must agree with the
closed formula 0.5 (log v_y - log v_q + (v_q + (m_q - m_y)^2) / v_y - 1), which is written. Slopes are the closed
ones, and must agree with central differences.

A case, with 5 examples and 3 dimensions of z:

    name                what the case is called
    classes             how many classes y there are
    labels              the class of each example, [5]
    k                   samples of z
    width_mean, width_log_var                 q(z|x): mean = centred("mean", 15, width_mean), [5, 3], and log_var
                                              = centred("log_var", 15, width_log_var)
    width_prior_mean, width_prior_log_var     p(z|y): mean = centred("prior_mean", classes * 3, ...), [classes, 3],
                                              and log_var = centred("prior_log_var", ...)
    width_z             z = centred("z", k * 15, width_z), [k, 5, 3]
    kl                  KL(q(z|x) || p(z|y)) of each dimension, [5, 3]
    kl_slopes           slopes of the sum of kl in "mean", "log_var" [5, 3], "prior_mean", "prior_log_var"
                        [classes, 3]
    log_p               log p(z|y) summed over the dimensions, [k, 5]
    log_p_slopes        slopes of the sum of log_p in "z" [k, 5, 3], "prior_mean", "prior_log_var" [classes, 3]
"""

import json
import platform
from pathlib import Path

import numpy as np
import scipy
import scipy.integrate
import scipy.stats

HERE = Path(__file__).parent
BATCH, LATENT = 5, 3


def uniform(name, n):
    """n numbers in [0, 1) of what is called `name`, as float32; common.rs has it too."""
    offset = sum((place + 1) * byte for place, byte in enumerate(name.encode())) * 0.1234567
    i = np.arange(1, n + 1, dtype=np.float64)
    return np.float32((0.6180339887498949 * (i * i) + offset) % 1.0)


def centred(name, n, width):
    """n numbers in +-width/2, as float64 that a float32 holds."""
    return np.float64(np.float32(width * (np.float64(uniform(name, n)) - 0.5)))


def kl(mean, log_var, prior_mean, prior_log_var):
    square = (mean - prior_mean) ** 2
    return 0.5 * (prior_log_var - log_var + (np.exp(log_var) + square) * np.exp(-prior_log_var) - 1)


def integrated_kl(mean, log_var, prior_mean, prior_log_var):
    sigma = np.exp(0.5 * log_var)
    q, p = scipy.stats.norm(mean, sigma), scipy.stats.norm(prior_mean, np.exp(0.5 * prior_log_var))
    ends = (mean - 12 * sigma, mean + 12 * sigma)
    return scipy.integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), *ends, epsabs=1e-12)[0]


def log_p(z, mean, log_var):
    return scipy.stats.norm.logpdf(z, mean, np.exp(0.5 * log_var))


def differences(f, at):
    """The slopes of f, a sum, in each number of `at`."""
    h = 1e-5
    found = np.zeros_like(at)
    for i in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[i] = h
        found[i] = (f(at + step) - f(at - step)) / (2 * h)
    return found


def agree(what, a, b, tolerance):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=what)


def listed(values):
    return [float(f"{v:.10g}") for v in np.asarray(values).ravel()]


def by_class(labels, classes, each):
    """Sums of rows [..., 5, 3] over the examples of each class, [classes, 3]."""
    found = np.zeros((classes, LATENT))
    for row in each.reshape(-1, BATCH, LATENT):
        np.add.at(found, labels, row)
    return found


def case(name, labels, classes, k, mean, log_var, prior_mean, prior_log_var, z):
    widths = {
        "width_mean": mean, "width_log_var": log_var, "width_prior_mean": prior_mean,
        "width_prior_log_var": prior_log_var, "width_z": z,
    }
    found = {"name": name, "classes": classes, "labels": labels, "k": k, **widths}
    mean = centred("mean", BATCH * LATENT, mean).reshape(BATCH, LATENT)
    log_var = centred("log_var", BATCH * LATENT, log_var).reshape(BATCH, LATENT)
    prior_mean = centred("prior_mean", classes * LATENT, prior_mean).reshape(classes, LATENT)
    prior_log_var = centred("prior_log_var", classes * LATENT, prior_log_var).reshape(classes, LATENT)
    z = centred("z", k * BATCH * LATENT, z).reshape(k, BATCH, LATENT)

    own_mean, own_log_var = prior_mean[labels], prior_log_var[labels]
    closed = kl(mean, log_var, own_mean, own_log_var)
    agree("kl", closed, np.vectorize(integrated_kl)(mean, log_var, own_mean, own_log_var), 1e-8)
    found["kl"] = listed(closed)
    v_q, v_y, off = np.exp(log_var), np.exp(own_log_var), mean - own_mean
    slopes = {
        "mean": off / v_y,
        "log_var": 0.5 * (v_q / v_y - 1),
        "prior_mean": by_class(labels, classes, -off / v_y),
        "prior_log_var": by_class(labels, classes, 0.5 * (1 - (v_q + off**2) / v_y)),
    }
    sums = {
        "mean": lambda t: kl(t, log_var, own_mean, own_log_var).sum(),
        "log_var": lambda t: kl(mean, t, own_mean, own_log_var).sum(),
        "prior_mean": lambda t: kl(mean, log_var, t[labels], own_log_var).sum(),
        "prior_log_var": lambda t: kl(mean, log_var, own_mean, t[labels]).sum(),
    }
    at = {"mean": mean, "log_var": log_var, "prior_mean": prior_mean, "prior_log_var": prior_log_var, "z": z}
    for key, slope in slopes.items():
        agree(f"slope of kl in {key}", slope, differences(sums[key], at[key]), 1e-6)
    found["kl_slopes"] = {key: listed(slope) for key, slope in slopes.items()}

    found["log_p"] = listed(log_p(z, own_mean, own_log_var).sum(axis=2))
    off = z - own_mean
    slopes = {
        "z": -off / v_y,
        "prior_mean": by_class(labels, classes, off / v_y),
        "prior_log_var": by_class(labels, classes, 0.5 * (off**2 / v_y - 1)),
    }
    sums = {
        "z": lambda t: log_p(t, own_mean, own_log_var).sum(),
        "prior_mean": lambda t: log_p(z, t[labels], own_log_var).sum(),
        "prior_log_var": lambda t: log_p(z, own_mean, t[labels]).sum(),
    }
    for key, slope in slopes.items():
        agree(f"slope of log p in {key}", slope, differences(sums[key], at[key]), 1e-6)
    found["log_p_slopes"] = {key: listed(slope) for key, slope in slopes.items()}
    return found


def main():
    cases = [
        case("each class its own Gaussian", [2, 0, 3, 2, 1], 4, 3, 6.0, 4.0, 4.0, 3.0, 6.0),
        case("one class for all", [1, 1, 1, 1, 1], 2, 1, 6.0, 4.0, 4.0, 3.0, 6.0),
        case("the standard prior, whatever the class", [2, 0, 3, 2, 1], 4, 2, 6.0, 4.0, 0.0, 0.0, 6.0),
        case("narrow and far apart", [0, 1, 2, 3, 4], 5, 2, 2.0, 6.0, 20.0, 6.0, 20.0),
    ]
    made_by = {
        "program": "tests/golden/conditional_prior.py",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "settings": "float64; inputs rounded to float32",
    }
    lines = ",\n".join(json.dumps(case) for case in cases)
    text = f'{{"made_by": {json.dumps(made_by)},\n"cases": [\n{lines}\n]}}\n'
    (HERE / "conditional_prior.json").write_text(text)
    print(f"conditional_prior.json: {len(cases)} cases, {len(text)} bytes")


if __name__ == "__main__":
    main()
