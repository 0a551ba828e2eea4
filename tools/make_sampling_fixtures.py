#!/usr/bin/env python3
"""Writes tests/data/sampling/cases.json: logits as transformers' processors adjust them, and the ids
that its warpers leave.

Needs transformers 4.45 and torch (Debian: python3-torch; pip install 'transformers==4.45.*')."""
import json
import pathlib

import torch
import transformers
from transformers.generation import logits_process as processors

VOCAB_SIZE = 48


def adjusted(case, logits):
    """Biases and the repetition penalty by transformers; presence and frequency as OpenAI's API
    reference has them: mu[j] - c[j] * alpha_frequency - float(c[j] > 0) * alpha_presence."""
    scores = logits.clone()
    ids = torch.tensor([case["prompt"] + case["answer"]])
    if case["logit_bias"]:
        biases = {(token,): bias for token, bias in case["logit_bias"]}
        scores = processors.SequenceBiasLogitsProcessor(sequence_bias=biases)(ids, scores)
    if case["repetition_penalty"] != 1:
        penalty = case["repetition_penalty"]
        scores = processors.RepetitionPenaltyLogitsProcessor(penalty=penalty)(ids, scores)
    counts = torch.zeros(VOCAB_SIZE)
    for token in case["answer"]:
        counts[token] += 1
    scores = scores - counts * case["frequency_penalty"]
    return scores - (counts > 0).float() * case["presence_penalty"]


def kept(case, scores):
    """The ids that the warpers leave, in the order in which transformers' generate applies them."""
    ids = torch.tensor([case["prompt"] + case["answer"]])
    scores = processors.TemperatureLogitsWarper(case["temperature"])(ids, scores)
    if case["top_k"]:
        scores = processors.TopKLogitsWarper(case["top_k"])(ids, scores)
    if case["top_p"] < 1:
        scores = processors.TopPLogitsWarper(case["top_p"])(ids, scores)
    if case["min_p"]:
        scores = processors.MinPLogitsWarper(case["min_p"])(ids, scores)
    return [i for i, score in enumerate(scores[0].tolist()) if score > -float("inf")]


def main():
    generator = torch.Generator().manual_seed(1)
    tokens = lambda count: torch.randint(0, VOCAB_SIZE, (count,), generator=generator).tolist()
    cases = []
    for repetition, presence, frequency in [(1.0, 0, 0), (1.3, 0, 0), (0.7, 0, 0), (1.0, 0.8, 0),
                                            (1.0, 0, 0.35), (1.0, -1.5, -0.25), (1.05, 1.1, 0.6)]:
        for biases in ([], [[3, 2.5], [17, -100.0], [40, 0.125]]):
            for temperature, top_k, top_p, min_p in [(1.0, 0, 1.0, 0.1), (0.7, 20, 0.8, 0.05),
                                                     (1.6, 0, 0.9, 0.3)]:
                case = {"prompt": tokens(9), "answer": tokens(14), "repetition_penalty": repetition,
                        "presence_penalty": presence, "frequency_penalty": frequency,
                        "logit_bias": biases, "temperature": temperature, "top_k": top_k,
                        "top_p": top_p, "min_p": min_p}
                logits = 3 * torch.randn(1, VOCAB_SIZE, generator=generator)
                scores = adjusted(case, logits)
                case["logits"] = logits[0].tolist()
                case["adjusted"] = scores[0].tolist()
                case["kept"] = kept(case, scores)
                cases.append(case)
    out = {"transformers": transformers.__version__, "vocab_size": VOCAB_SIZE, "cases": cases}
    folder = pathlib.Path(__file__).resolve().parent.parent / "tests/data/sampling"
    folder.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join("  " + json.dumps(case) for case in cases)
    head = json.dumps({k: v for k, v in out.items() if k != "cases"})[:-1]
    (folder / "cases.json").write_text(f'{head}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
