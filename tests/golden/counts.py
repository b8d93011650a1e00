#!/usr/bin/env python3
"""Makes the golden numbers of the likelihoods of counts, Poisson and negative binomial: counts.json.

    python counts.py          writes counts.json into this folder

Made with Python 3.11.7, SciPy 1.17.1, NumPy 2.4.6, mpmath 1.3.0 (50 digits); inputs are rounded to float32.

Every log-probability is computed twice: by scipy.stats in double precision, and by the closed formula in mpmath.
They must agree, and the second is written. Slopes are mpmath's numerical derivatives of the formula; they must
agree with the closed formula of the slope.

With m = softplus(output):

    poisson             log p(x) = x log m - m - log x!                           (mean m, variance m)
    negative-binomial   log p(x) = scipy.stats.nbinom.logpmf(x, r, r / (r + m))   (mean m, variance m + m^2 / r)
                        r = exp(log_r)

`cases`, in the form of likelihood.json. [rows] is k * 5: k samples of z for each of 5 examples.

    name                what the case is called
    likelihood          the `[likelihood]` table
    x                   kind of data: "counts" is floor(40 u), u = uniform("x", 60), [5, 12]
    width               output = centred("output", rows * 12, width), [rows, 12]
    k                   samples of z
    parameters          outputs of a number of x: 1
    log_spread          log r: one number (dispersion of all), or 12 (one for each number of x:
                        centred("log_spread", 12, 4)); absent for poisson. float32 holds each exactly
    log_prob            log p(x|z) summed over the numbers of x, [k, 5]
    slope               slope of the sum of log_prob in output, [rows, 12]
    spread_slope        slope of the sum of log_prob in log r, like log_spread; absent for poisson
    mean                m, [rows, 12]
    average             log p(x) where m is the average over the k samples, [1, 5]
    average_tolerance   the relative error that `average` may have

`extremes`: single numbers far out. All lists have one entry a number; `log_spread` is one for all.

    name, likelihood, log_spread (negative-binomial only), output, x, log_prob, slope, spread_slope (summed), mean
"""

import json
import platform
from pathlib import Path

import mpmath
import numpy as np
import scipy
import scipy.stats
from mpmath import mp, mpf

mp.dps = 50

HERE = Path(__file__).parent
BATCH, NUMBERS = 5, 12


def uniform(name, n):
    """n numbers in [0, 1) of what is called `name`, as float32; common.rs has it too."""
    offset = sum((place + 1) * byte for place, byte in enumerate(name.encode())) * 0.1234567
    i = np.arange(1, n + 1, dtype=np.float64)
    return np.float32((0.6180339887498949 * (i * i) + offset) % 1.0)


def centred(name, n, width):
    """n numbers in +-width/2, as float64 that a float32 holds."""
    return np.float64(np.float32(width * (np.float64(uniform(name, n)) - 0.5)))


def counts(name, n):
    return np.floor(40.0 * np.float64(uniform(name, n)))


def softplus(output):
    return mpmath.log1p(mpmath.exp(output))


def log_poisson(x, mean, _log_r):
    return x * mpmath.log(mean) - mean - mpmath.loggamma(x + 1)


def log_negative_binomial(x, mean, log_r):
    r = mpmath.exp(log_r)
    choose = mpmath.loggamma(x + r) - mpmath.loggamma(r) - mpmath.loggamma(x + 1)
    return choose + r * mpmath.log(r / (r + mean)) + x * mpmath.log(mean / (r + mean))


def agree(what, a, b, relative):
    assert abs(a - b) <= relative * max(1, abs(b)), f"{what}: {a} is not {b}"


def log_prob(x, mean, log_r):
    """log p of one number, by mpmath and by SciPy."""
    tolerance = 1e-10
    if log_r is None:
        found = log_poisson(x, mean, None)
        scipys = scipy.stats.poisson.logpmf(int(x), float(mean))
    else:
        found = log_negative_binomial(x, mean, log_r)
        r = float(mpmath.exp(log_r))
        scipys = scipy.stats.nbinom.logpmf(int(x), r, r / (r + float(mean)))
        # SciPy takes 1 - r / (r + m), of which rounding leaves less the smaller m is.
        tolerance += 1e-15 * float(r / mean + 1)
    agree(f"x {x}, mean {mean}, log r {log_r}", mpf(float(scipys)), found, tolerance)
    return found


def slopes(x, output, log_r):
    """Slopes of log p of one number in the output and in log r."""
    log_p = log_poisson if log_r is None else log_negative_binomial
    # Central differences of 50 digits: the step's error and rounding are both below 1e-25.
    h = mpf("1e-14")

    def difference(f):
        return (f(h) - f(-h)) / (2 * h)

    mean, sigmoid = softplus(output), 1 / (1 + mpmath.exp(-output))
    in_output = difference(lambda h: log_p(x, softplus(output + h), log_r))
    if log_r is None:
        agree("slope", in_output, (x / mean - 1) * sigmoid, 1e-18)
        return in_output, None
    r = mpmath.exp(log_r)
    agree("slope", in_output, (x / mean - (x + r) / (r + mean)) * sigmoid, 1e-18)
    in_log_r = difference(lambda h: log_p(x, mean, log_r + h))
    psi = mpmath.digamma
    closed = r * (psi(x + r) - psi(r) + mpmath.log(r / (r + mean)) + (mean - x) / (r + mean))
    agree("slope in log r", in_log_r, closed, 1e-18)
    return in_output, in_log_r


def exact(values):
    return [mpf(float(v)) for v in values]


def listed(values):
    return [float(mpmath.nstr(v, 10)) for v in values]


def case(name, table, width, k, log_spread=None):
    rows = k * BATCH
    x = exact(counts("x", BATCH * NUMBERS))
    output = exact(centred("output", rows * NUMBERS, width))
    log_r = [None] * NUMBERS
    if log_spread is not None:
        assert all(float(np.float32(v)) == v for v in log_spread)
        log_r = exact(log_spread) * (NUMBERS // len(log_spread))
    mean = [softplus(o) for o in output]

    def row(x_row, means):
        at = x[x_row * NUMBERS :][:NUMBERS]
        return mpmath.fsum(log_prob(*each) for each in zip(at, means, log_r))

    found = {"name": name, "likelihood": f"[likelihood]\n{table}\n", "x": "counts", "width": width, "k": k}
    found["parameters"] = 1
    if log_spread is not None:
        found["log_spread"] = list(log_spread)
    each = [slopes(x[i % (BATCH * NUMBERS)], o, log_r[i % NUMBERS]) for i, o in enumerate(output)]
    found["log_prob"] = listed(row(i % BATCH, mean[i * NUMBERS :][:NUMBERS]) for i in range(rows))
    found["slope"] = listed(s for s, _ in each)
    if log_spread is not None:
        n = len(log_spread)
        found["spread_slope"] = listed(mpmath.fsum(s for _, s in each[i::n]) for i in range(n))
    found["mean"] = listed(mean)
    size = BATCH * NUMBERS
    average = [mpmath.fsum(mean[i::size]) / k for i in range(size)]
    found["average"] = listed(row(i, average[i * NUMBERS :][:NUMBERS]) for i in range(BATCH))
    found["average_tolerance"] = 2e-5
    return found


def extreme(name, table, output, x, log_spread=None):
    log_r = None if log_spread is None else mpf(log_spread)
    outputs, xs = exact(output), exact(x)
    means = [softplus(o) for o in outputs]
    each = [slopes(x, o, log_r) for x, o in zip(xs, outputs)]
    found = {"name": name, "likelihood": f"[likelihood]\n{table}\n"}
    if log_spread is not None:
        found["log_spread"] = [log_spread]
    found |= {"output": list(output), "x": list(x)}
    found["log_prob"] = listed(log_prob(x, m, log_r) for x, m in zip(xs, means))
    found["slope"] = listed(s for s, _ in each)
    if log_spread is not None:
        found["spread_slope"] = listed([mpmath.fsum(s for _, s in each)])
    found["mean"] = listed(means)
    return found


def main():
    poisson = 'kind = "poisson"'
    shared = 'kind = "negative-binomial"\ndispersion = "global"'
    own = 'kind = "negative-binomial"\ndispersion = "feature"'
    cases = [
        case("poisson", poisson, 6.0, 3),
        case("poisson, rates from 1e-9 to 20", poisson, 40.0, 2),
    ]
    for log_r in [-1.0, 0.5, 3.0]:
        cases.append(case(f"negative-binomial, r = exp({log_r:g})", shared, 6.0, 3, [log_r]))
    cases.append(case("negative-binomial, means from 1e-9 to 20", shared, 40.0, 2, [0.5]))
    of_each = [float(v) for v in centred("log_spread", NUMBERS, 4.0)]
    cases.append(case("negative-binomial, r of each number", own, 6.0, 3, of_each))

    outputs, xs = [-20.0, 0.0, 50.0], [0.0, 1.0, 10_000.0]
    grid = [(o, x) for o in outputs for x in xs]
    far = [[o for o, _ in grid], [x for _, x in grid]]
    extremes = [extreme("poisson, far out", poisson, *far)]
    for log_r in [-4.0, 0.5, 6.0]:
        name = f"negative-binomial, r = exp({log_r:g}), far out"
        extremes.append(extreme(name, shared, *far, log_r))

    made_by = {
        "program": "tests/golden/counts.py",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "mpmath": mpmath.__version__,
        "settings": "50 digits against float64; inputs rounded to float32",
    }
    lines = [",\n".join(json.dumps(each) for each in group) for group in (cases, extremes)]
    text = (
        f'{{"made_by": {json.dumps(made_by)},\n"cases": [\n{lines[0]}\n],\n"extremes": [\n{lines[1]}\n]}}\n'
    )
    (HERE / "counts.json").write_text(text)
    print(f"counts.json: {len(cases)} cases, {len(extremes)} extremes, {len(text)} bytes")


if __name__ == "__main__":
    main()
