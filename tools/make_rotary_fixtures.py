#!/usr/bin/env python3
"""Writes tests/data/rotary/frequencies.json: rotary inverse frequencies for several configs.

Computed in double precision from the formulas of the RoPE (arXiv 2104.09864) and YaRN (arXiv
2309.00071) papers, apart from braid's C++. Needs numpy. Run: python tools/make_rotary_fixtures.py
"""

import json
import math
import pathlib

import numpy as np

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "rotary"

CASES = {
    "plain": {"dim": 64, "theta": 10000.0},
    "qwen3": {"dim": 128, "theta": 1000000.0},
    "deepseek_v3": {
        "dim": 64, "theta": 10000.0, "factor": 40.0, "original": 4096, "beta_fast": 32.0,
        "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0,
    },
    "deepseek_v2": {
        "dim": 64, "theta": 10000.0, "factor": 40.0, "original": 4096, "beta_fast": 32.0,
        "beta_slow": 1.0, "mscale": 0.707, "mscale_all_dim": 0.707,
    },
    "short_context": {  # the ramp starts below dimension 0
        "dim": 64, "theta": 10000.0, "factor": 40.0, "original": 64, "beta_fast": 32.0,
        "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0,
    },
    "qwen_long": {"dim": 128, "theta": 1000000.0, "factor": 4.0, "original": 32768},
    "not_truncated": {
        "dim": 128, "theta": 1000000.0, "factor": 4.0, "original": 32768, "truncate": False,
    },
}


def magnitude(factor, scale):
    return 0.1 * scale * math.log(factor) + 1.0


def compute(case):
    dim, theta = case["dim"], case["theta"]
    index = np.arange(dim // 2)
    original = theta ** (-2.0 * index / dim)
    if "factor" not in case:
        return original, 1.0, 1.0

    def dimension_of(rotations):
        # theta^(-2d/dim) * context = 2 pi * rotations, solved for d
        return dim * math.log(case["original"] / (2 * math.pi * rotations)) / (2 * math.log(theta))

    low = dimension_of(case.get("beta_fast", 32.0))
    high = dimension_of(case.get("beta_slow", 1.0))
    if case.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    ramp = np.clip((index - low) / (high - low), 0.0, 1.0)
    blended = original / case["factor"] * ramp + original * (1.0 - ramp)
    all_dim = magnitude(case["factor"], case.get("mscale_all_dim", 0.0))
    return blended, magnitude(case["factor"], case.get("mscale", 1.0)) / all_dim, all_dim**2


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    result = {}
    for name, case in CASES.items():
        frequencies, cos_sin, softmax = compute(case)
        result[name] = dict(
            case, frequencies=[float(f"{f:.10g}") for f in frequencies],
            cos_sin_multiplier=cos_sin, softmax_scale_multiplier=softmax)
    text = ",\n".join(f"{json.dumps(n)}: {json.dumps(c)}" for n, c in result.items())
    (OUT / "frequencies.json").write_text("{" + text + "}\n")


if __name__ == "__main__":
    main()
