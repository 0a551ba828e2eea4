#!/usr/bin/env python3
"""Compares a decoder layer of `braid bench layer --dump DIR` with one written here in PyTorch.

    tools/reference_layer.py CONFIG.json DIR [--override JSON] [--seed N]

The weights are made anew from their published names, as --load-format dummy makes them, rounded to
bfloat16; everything is computed in float32. For each DIR/layer_N.safetensors it prints the relative
error of (output - input), of the CPU's output where the file has it, and what PyTorch's own layer
in bfloat16 has. Exit code 1 beyond 1.5e-2.
GLM-4.5 (experts given) and Qwen2 layers. Needs torch and safetensors; uses a GPU where there is one.
"""
import argparse
import glob
import json
import math
import os
import sys

import torch
from safetensors.torch import load_file

GOLDEN = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1
BOUND = 1.5e-2
ROWS_OF_A_SEQUENCE = 2048


def mix(value):
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & MASK
    return value ^ (value >> 31)


def signed(value):
    return value - (1 << 64) if value >= 1 << 63 else value


def mix_tensor(value):
    def shifted(bits):  # torch shifts arithmetically
        return (value >> bits) & ((1 << (64 - bits)) - 1)

    value = (value ^ shifted(30)) * signed(0xBF58476D1CE4E5B9)
    value = (value ^ shifted(27)) * signed(0x94D049BB133111EB)
    return value ^ shifted(31)


class Weights:
    def __init__(self, seed, device, dtype=torch.float32):
        self.seed, self.device, self.dtype = seed, device, dtype

    def __call__(self, name, *shape):
        name = "model.layers.0." + name
        if name.endswith("norm.weight"):
            return torch.ones(shape, device=self.device, dtype=self.dtype)
        key = mix(self.seed + GOLDEN & MASK)
        for letter in name.encode():
            key = mix(key ^ letter)
        index = torch.arange(torch.Size(shape).numel(), device=self.device)
        bits = mix_tensor(signed(key) + (index >> 2) * signed(GOLDEN)) >> (16 * (index & 3)) & 0xFFFF
        uniform = (bits.float() - 32767.5) / 32768.0
        bound = 0.01 if name.endswith("bias") else 0.034641016
        return (bound * uniform).bfloat16().to(self.dtype).reshape(shape)


def rms_norm(x, weight, eps):
    wide = x.float()
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps) * weight).to(x.dtype)


def rotate(x, cos, sin):  # [T, heads, head_dim], pairs (i, i + dims / 2)
    half = cos.shape[-1]
    a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat((a * cos - b * sin, b * cos + a * sin, rest), -1)


def attention(config, w, x):
    rows, hidden = x.shape
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head_dim = config.get("head_dim") or hidden // heads
    biased = config.get("attention_bias", config["model_type"] == "qwen2")

    def project(name, count):
        y = x @ w(f"self_attn.{name}_proj.weight", count * head_dim, hidden).T
        if biased:
            y = y + w(f"self_attn.{name}_proj.bias", count * head_dim)
        return y.view(rows, count, head_dim)

    q, k, v = project("q", heads), project("k", kv_heads), project("v", kv_heads)
    run = -(-rows // min(max(rows // ROWS_OF_A_SEQUENCE, 1), 8))  # rows of a sequence
    positions = (torch.arange(rows, device=x.device) % run).double()
    dims = int(head_dim * config.get("partial_rotary_factor", 1.0))
    steps = torch.arange(0, dims, 2, device=x.device).double() / dims
    angle = positions[:, None] * config["rope_theta"] ** -steps
    cos, sin = angle.cos().float()[:, None], angle.sin().float()[:, None]
    q, k = rotate(q, cos, sin).to(x.dtype), rotate(k, cos, sin).to(x.dtype)
    out = torch.empty_like(q)
    for first in range(0, rows, run):
        part = slice(first, min(first + run, rows))
        length = part.stop - part.start
        causal = torch.full((length, length), float("-inf"), device=x.device).triu(1)
        for head in range(heads):
            kv = head // (heads // kv_heads)
            scores = (q[part, head] @ k[part, kv].T).float() * head_dim**-0.5 + causal
            out[part, head] = scores.softmax(-1).to(x.dtype) @ v[part, kv]
    return out.reshape(rows, -1) @ w("self_attn.o_proj.weight", hidden, heads * head_dim).T


def mlp(w, prefix, x, width):
    hidden = x.shape[1]
    gate = x @ w(prefix + "gate_proj.weight", width, hidden).T
    up = x @ w(prefix + "up_proj.weight", width, hidden).T
    return (torch.nn.functional.silu(gate) * up) @ w(prefix + "down_proj.weight", hidden, width).T


def experts(config, w, x, ids):
    count, width = config["n_routed_experts"], config["moe_intermediate_size"]
    scores = (x @ w("mlp.gate.weight", count, x.shape[1]).T).float().sigmoid()
    chosen = scores.gather(1, ids)
    chosen = chosen / (chosen.sum(-1, keepdim=True) + 1e-20) * config["routed_scaling_factor"]
    out = mlp(w, "mlp.shared_experts.", x, width * config["n_shared_experts"])
    for expert in range(count):
        row, place = (ids == expert).nonzero(as_tuple=True)
        if len(row):
            y = mlp(w, f"mlp.experts.{expert}.", x[row], width)
            out.index_add_(0, row, (y * chosen[row, place, None]).to(x.dtype))
    return out


def layer(config, w, x, ids):
    hidden, eps = x.shape[1], config["rms_norm_eps"]
    x = x + attention(config, w, rms_norm(x, w("input_layernorm.weight", hidden), eps))
    h = rms_norm(x, w("post_attention_layernorm.weight", hidden), eps)
    if ids is None:
        return x + mlp(w, "mlp.", h, config["intermediate_size"])
    return x + experts(config, w, h, ids)


def error(out, reference, x):
    difference, size = (out - reference).double(), (reference - x).double()
    rows = difference.norm(dim=1) / size.norm(dim=1)
    return (difference.norm() / size.norm()).item(), rows.max().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config")
    parser.add_argument("folder")
    parser.add_argument("--override", default="{}")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with open(arguments.config) as file:
        config = {**json.load(file), **json.loads(arguments.override)}
    torch.backends.cuda.matmul.allow_tf32 = False
    device = "cuda" if torch.cuda.is_available() else "cpu"
    files = glob.glob(os.path.join(arguments.folder, "layer_*.safetensors"))
    if not files:
        sys.exit(f"no layer_*.safetensors in {arguments.folder}")
    failed = False
    for path in sorted(files, key=lambda name: int(name.split("_")[-1].split(".")[0])):
        tensors = {name: value.to(device) for name, value in load_file(path).items()}
        x, ids = tensors["in"], tensors.get("expert_ids")
        reference = layer(config, Weights(arguments.seed, device), x, ids if ids is None else ids.long())
        narrow = Weights(arguments.seed, device, torch.bfloat16)
        tensors["PyTorch in bfloat16"] = layer(config, narrow, x.bfloat16(), None if ids is None else ids.long()).float()
        for name, bound in (("out", BOUND), ("cpu_out", 1e-4), ("PyTorch in bfloat16", math.inf)):
            if name not in tensors:
                continue
            whole, worst = error(tensors[name], reference, x)
            print(f"{len(x)} rows, {name}: relative error {whole:.2e}, worst row {worst:.2e}")
            failed = failed or not (whole <= bound and worst <= 3 * bound)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
