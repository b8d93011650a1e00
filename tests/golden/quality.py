"""Golden numbers of Frechet distance, kernel distance, precision and recall, for the tests of
crates/vae-eval/src/quality/distances.rs. Run with NumPy 2.4.6, SciPy 1.17.1, scikit-learn 1.9.1:

    python tests/golden/quality.py
"""

import numpy as np
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import polynomial_kernel


def wave(n, width, shift, stretch):
    i, j = np.meshgrid(np.arange(n), np.arange(width), indexing="ij")
    x = shift + stretch * (np.sin(0.7 * i + 1.3 * j) + 0.5 * np.cos(0.11 * i * (j + 1.0)))
    return x.astype(np.float32).astype(np.float64)


def off_diagonal_mean(k):
    n = len(k)
    return (k.sum() - np.trace(k)) / (n * (n - 1))


real, made = wave(60, 5, 0.0, 1.0), wave(40, 5, 0.6, 1.0)
s1, s2 = np.cov(real.T), np.cov(made.T)
m = real.mean(0) - made.mean(0)
print("frechet", m @ m + np.trace(s1 + s2 - 2 * np.real(sqrtm(s1 @ s2))))
kernel = lambda a, b: polynomial_kernel(a, b, degree=3, gamma=1 / a.shape[1], coef0=1)
print("kernel", off_diagonal_mean(kernel(real, real)) + off_diagonal_mean(kernel(made, made))
      - 2 * kernel(real, made).mean())
radius = lambda a: np.sort(cdist(a, a), axis=1)[:, 3]
between = cdist(real, made)
print("precision", (between <= radius(real)[:, None]).any(0).mean())
print("recall", (between <= radius(made)[None, :]).any(1).mean())
