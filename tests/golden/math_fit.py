"""Minimax coefficients of csrc/kernels/math.h, by Lawson's reweighted least squares in float64,
each rounded to float32 in turn (highest influence first) with the rest refitted.

    python math_fit.py        # needs numpy, mpmath
"""
import numpy as np
import mpmath as mp
mp.mp.dps = 40


def fit(f, lo, hi, powers, weight=lambda x: 1.0, n=600):
    """f(x) ~ sum c_i x^powers[i], minimising max |error * weight|; returns float32 coefficients."""
    t = np.cos(np.pi * (np.arange(n) + 0.5) / n)
    x = 0.5 * (lo + hi) + 0.5 * (hi - lo) * t
    y = np.array([float(f(mp.mpf(float(v)))) for v in x])
    w = np.array([float(weight(v)) for v in x])
    done, todo, left = {}, list(powers), y.copy()
    while todo:
        A = np.stack([x ** p for p in todo], 1)
        lw = np.ones(n)
        for _ in range(60):
            s = np.sqrt(lw) * w
            c, *_ = np.linalg.lstsq(A * s[:, None], left * s, rcond=None)
            e = np.abs((A @ c - left) * w)
            lw = lw * (e + 1e-30)
            lw /= lw.sum()
        p = todo.pop(0)
        done[p] = np.float32(c[0])
        left = left - float(done[p]) * x ** p
    err = np.max(np.abs(left * w))
    return [done[p] for p in powers], err


def show(name, r):
    c, e = r
    print(f"{name}: " + " ".join(f"{v:.9e}" for v in c) + f"   error {e:.2e} = 2^{np.log2(e):.1f}")


L2 = float(mp.log(2)) / 2
show("exp", fit(lambda x: (mp.exp(x) - 1 - x) / x**2 if x else mp.mpf(0.5), -L2 * 1.01, L2 * 1.01,
                range(6), lambda x: x * x / np.exp(x)))
zmax = float(((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2)
def logr(z):
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) / s - 2) / z if z else mp.mpf(2) / 3
show("log", fit(logr, 1e-9, zmax * 1.02, range(4), lambda z: z))
def tanhr(z):
    s = mp.sqrt(z)
    return (mp.tanh(s) / s - 1) / z if z else -mp.mpf(1) / 3
show("tanh", fit(tanhr, 1e-9, 0.625**2, range(6), lambda z: z))
def erfr(z):
    s = mp.sqrt(z)
    return mp.erf(s) / s - 1
show("erf small", fit(erfr, 1e-9, 0.93**2, range(7), lambda z: 1.0))
show("erf large", fit(lambda t: -mp.log(mp.erfc(t)), 0.9, 4.0, range(9), lambda t: float(mp.erfc(t))))
q = float(mp.pi) / 4
def sinr(z):
    s = mp.sqrt(z)
    return (mp.sin(s) / s - 1) / z
show("sin", fit(sinr, 1e-9, q * q * 1.02, range(4), lambda z: z))
def cosr(z):
    s = mp.sqrt(z)
    return (mp.cos(s) - 1 + z / 2) / z**2
show("cos", fit(cosr, 1e-4, q * q * 1.02, range(4), lambda z: z * z))
for name, v, bits in (("ln2", mp.log(2), 12), ("pi/2", mp.pi / 2, 12)):
    parts, rest = [], v
    for i in range(2 if name == "ln2" else 3):
        if i < (1 if name == "ln2" else 2):
            e = mp.floor(mp.log(rest, 2))
            sc = mp.mpf(2) ** (bits - e)
            p = mp.floor(rest * sc) / sc
        else:
            p = mp.mpf(float(np.float32(float(rest))))
        parts.append(float(p)); rest -= p
    print(name, [f"{p:.12e}" for p in parts])
print("log2e %.10e  2/pi %.10e  sqrt1/2 %.10e sqrt(2/pi) %.10e" % (float(1/mp.log(2)), float(2/mp.pi), float(mp.sqrt(0.5)), float(mp.sqrt(2/mp.pi))))
