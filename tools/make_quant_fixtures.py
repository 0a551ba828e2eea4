#!/usr/bin/env python3
"""Writes tests/data/quant: dequantized values computed apart from braid's C++.

  number_tables.json    all 256 E4M3 and 16 E2M1 values, from their bit fields (null: NaN)
  golden_crc32.json     CRC-32 of the float32 bytes of every quantized weight in tests/goldens
  fp8_block_odd/        a checkpoint of blocks that don't divide the matrix, bfloat16 scales
  nvfp4_extremes/       a checkpoint with every E2M1 code and the smallest and largest scales
  */expected.safetensors  the float32 values of each of those weights

Needs numpy. Run from anywhere: python tools/make_quant_fixtures.py
"""

import json
import pathlib
import struct
import zlib

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "tests" / "data" / "quant"
NUMPY_TYPES = {"F32": "<f4", "BF16": "<u2", "F16": "<f2", "F8_E4M3": "u1", "U8": "u1", "I64": "<i8"}


def small_float(bits, exponent_bits, mantissa_bits, bias):
    """The value of sign | exponent | mantissa, in double precision."""
    sign = -1.0 if bits >> (exponent_bits + mantissa_bits) else 1.0
    exponent = (bits >> mantissa_bits) & ((1 << exponent_bits) - 1)
    fraction = (bits & ((1 << mantissa_bits) - 1)) / (1 << mantissa_bits)
    if exponent == 0:
        return sign * fraction * 2.0 ** (1 - bias)
    return sign * (1.0 + fraction) * 2.0 ** (exponent - bias)


E4M3 = np.array(
    [np.nan if b & 0x7F == 0x7F else small_float(b, 4, 3, 7) for b in range(256)], np.float32
)
E2M1 = np.array([small_float(b, 2, 1, 1) for b in range(16)], np.float32)


def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        array = np.frombuffer(data[begin:end], NUMPY_TYPES[entry["dtype"]])
        tensors[name] = (entry["dtype"], array.reshape(entry["shape"]))
    return tensors


def write_safetensors(path, tensors):
    header, blobs, offset = {}, [], 0
    for name, (dtype, array) in tensors.items():
        blob = np.ascontiguousarray(array, NUMPY_TYPES[dtype]).tobytes()
        header[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [offset, offset + len(blob)],
        }
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def scales_of(tensor):
    dtype, array = tensor
    if dtype == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32)


def dequantize(tensors, name, block=(128, 128)):
    dtype, stored = tensors[name]
    module = name.removesuffix(".weight")
    if dtype == "U8":  # NVFP4
        codes = np.stack([stored & 15, stored >> 4], axis=-1).reshape(stored.shape[0], -1)
        groups = np.repeat(E4M3[tensors[module + ".weight_scale"][1]], 16, axis=1)
        return (E2M1[codes] * groups) * scales_of(tensors[module + ".weight_scale_2"])
    if module + ".weight_scale_inv" in tensors:
        scales = scales_of(tensors[module + ".weight_scale_inv"])
        full = np.kron(scales, np.ones(block, np.float32))
        return E4M3[stored] * full[: stored.shape[0], : stored.shape[1]]
    return E4M3[stored] * scales_of(tensors[module + ".weight_scale"])


def golden_crcs():
    crcs = {}
    for folder in sorted((ROOT / "tests" / "goldens").iterdir()):
        if "fp8" not in folder.name and "nvfp4" not in folder.name:
            continue
        tensors = read_safetensors(folder / "model.safetensors")
        for name, (dtype, _) in sorted(tensors.items()):
            if name.endswith(".weight") and dtype in ("U8", "F8_E4M3"):
                values = dequantize(tensors, name).astype("<f4")
                entry = {"shape": list(values.shape), "crc32": zlib.crc32(values.tobytes())}
                crcs.setdefault(folder.name, {})[name] = entry
    return crcs


def odd_blocks(rng):
    """Blocks of 16 x 32 over 40 x 50 weights, scales in bfloat16."""
    codes = rng.integers(0, 256, (40, 50)).astype(np.uint8)
    codes[codes & 0x7F == 0x7F] = 0
    scales = rng.integers(0x3C00, 0x3F00, (3, 2)).astype(np.uint16)
    return {"x.weight": ("F8_E4M3", codes), "x.weight_scale_inv": ("BF16", scales)}


def nvfp4_extremes():
    """Each row: all 16 codes twice; scale codes from the smallest subnormal to the largest."""
    codes = np.tile(np.arange(16, dtype=np.uint8), (8, 2))
    packed = codes[:, 0::2] | codes[:, 1::2] << 4
    scales = np.array([0, 1, 7, 8, 9, 0x38, 0x70, 0x77, 0x78, 0x7D, 0x7E, 2, 3, 4, 5, 6], np.uint8)
    return {
        "x.weight": ("U8", packed),
        "x.weight_scale": ("F8_E4M3", scales.reshape(8, 2)),
        "x.weight_scale_2": ("F32", np.array(0.000123, np.float32)),
    }


def write_checkpoint(name, tensors, block):
    write_safetensors(OUT / name / "model.safetensors", tensors)
    expected = dequantize(tensors, "x.weight", block)
    write_safetensors(OUT / name / "expected.safetensors", {"x.weight": ("F32", expected)})


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    tables = {
        "e4m3": [None if np.isnan(v) else float(v) for v in E4M3],
        "e2m1": [float(v) for v in E2M1],
    }
    (OUT / "number_tables.json").write_text(json.dumps(tables) + "\n")
    crcs = json.dumps(golden_crcs()).replace("}, ", "},\n")  # a tensor a line
    (OUT / "golden_crc32.json").write_text(crcs + "\n")
    write_checkpoint("fp8_block_odd", odd_blocks(np.random.default_rng(1)), (16, 32))
    write_checkpoint("nvfp4_extremes", nvfp4_extremes(), None)


if __name__ == "__main__":
    main()
