#!/usr/bin/env python3
"""Makes up a checkpoint in the published format, to measure how fast weights are read.

    tools/make_checkpoint.py FOLDER [--layers 16] [--experts 128] [--shard-gb 4] [--seed 0]

A Qwen3-MoE of Qwen3-30B-A3B's sizes with fewer layers: 1.2 GB each, 21 GB with 16. The weights are
bfloat16, normal with standard deviation 0.02, cut out of one block of 64 MiB at random places; norm
weights are 1. There is no tokenizer: run it with braid bench latency or throughput.
"""

import argparse
import json
import os

import numpy

BLOCK_BYTES = 64 << 20


def config(layers, experts):
    return {
        "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe",
        "torch_dtype": "bfloat16", "hidden_size": 2048, "intermediate_size": 6144,
        "moe_intermediate_size": 768, "num_hidden_layers": layers, "num_experts": experts,
        "num_experts_per_tok": min(8, experts), "norm_topk_prob": True, "decoder_sparse_step": 1,
        "mlp_only_layers": [], "num_attention_heads": 32, "num_key_value_heads": 4,
        "head_dim": 128, "attention_bias": False, "hidden_act": "silu", "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0, "max_position_embeddings": 40960, "vocab_size": 151936,
        "tie_word_embeddings": False, "bos_token_id": 151643, "eos_token_id": 151645,
    }


def tensors(c):
    """Names and shapes, in the order of the layers."""
    hidden, width = c["hidden_size"], c["moe_intermediate_size"]
    q = c["num_attention_heads"] * c["head_dim"]
    kv = c["num_key_value_heads"] * c["head_dim"]
    yield "model.embed_tokens.weight", [c["vocab_size"], hidden]
    for layer in range(c["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        yield at + "input_layernorm.weight", [hidden]
        for name, rows in (("q", q), ("k", kv), ("v", kv)):
            yield f"{at}self_attn.{name}_proj.weight", [rows, hidden]
        for name in ("q", "k"):
            yield f"{at}self_attn.{name}_norm.weight", [c["head_dim"]]
        yield at + "self_attn.o_proj.weight", [hidden, q]
        yield at + "post_attention_layernorm.weight", [hidden]
        yield at + "mlp.gate.weight", [c["num_experts"], hidden]
        for expert in range(c["num_experts"]):
            of_expert = f"{at}mlp.experts.{expert}."
            yield of_expert + "gate_proj.weight", [width, hidden]
            yield of_expert + "up_proj.weight", [width, hidden]
            yield of_expert + "down_proj.weight", [hidden, width]
    yield "model.norm.weight", [hidden]
    yield "lm_head.weight", [c["vocab_size"], hidden]


def size_of(shape):
    return 2 * int(numpy.prod(shape))


def shards(all_tensors, most_bytes):
    """Lists of tensors, each of at most so many bytes, or of one tensor."""
    shard, size = [], 0
    for name, shape in all_tensors:
        if shard and size + size_of(shape) > most_bytes:
            yield shard
            shard, size = [], 0
        shard.append((name, shape))
        size += size_of(shape)
    yield shard


def random_block(random):
    """bfloat16 as 16 bits: float32 rounded to nearest, ties to even."""
    bits = (random.standard_normal(BLOCK_BYTES // 2, dtype=numpy.float32) * 0.02).view(numpy.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(numpy.uint16).tobytes()


def write_tensor(out, name, size, block, random):
    if name.endswith("norm.weight"):
        out.write(b"\x80\x3f" * (size // 2))  # ones
        return
    while size > 0:
        start = 2 * int(random.integers(0, BLOCK_BYTES // 4))
        piece = memoryview(block)[start:start + size]
        out.write(piece)
        size -= len(piece)


def write_shard(path, shard, block, random):
    header, offset = {}, 0
    for name, shape in shard:
        end = offset + size_of(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 64)
    with open(path, "wb", buffering=1 << 20) as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shard:
            write_tensor(out, name, size_of(shape), block, random)
    return offset


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--experts", type=int, default=128)
    parser.add_argument("--shard-gb", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random = numpy.random.default_rng(options.seed)
    block = random_block(random)
    shape = config(options.layers, options.experts)
    os.makedirs(options.folder, exist_ok=True)
    with open(os.path.join(options.folder, "config.json"), "w") as out:
        json.dump(shape, out, indent=2)
    plan = list(shards(tensors(shape), options.shard_gb * 1e9))
    weight_map, total = {}, 0
    for i, shard in enumerate(plan):
        name = f"model-{i + 1:05}-of-{len(plan):05}.safetensors"
        total += write_shard(os.path.join(options.folder, name), shard, block, random)
        weight_map.update({tensor: name for tensor, _ in shard})
    with open(os.path.join(options.folder, "model.safetensors.index.json"), "w") as out:
        json.dump({"metadata": {"total_size": total}, "weight_map": weight_map}, out)
    print(f"{options.folder}: {len(weight_map)} tensors, {total / 1e9:.1f} GB in {len(plan)} files")


if __name__ == "__main__":
    main()
