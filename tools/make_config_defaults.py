#!/usr/bin/env python3
"""Writes tests/data/config/defaults.json: what transformers' configuration classes take for keys
that a config.json lacks, and which keys they have.

Needs transformers 5 (pip install 'transformers==5.*'; without torch)."""
import json
import pathlib

import transformers

CLASSES = {
    "glm4_moe": transformers.Glm4MoeConfig,
    "deepseek_v2": transformers.DeepseekV2Config,
    "deepseek_v3": transformers.DeepseekV3Config,
    "qwen3_moe": transformers.Qwen3MoeConfig,
    "qwen2": transformers.Qwen2Config,
    "mixtral": transformers.MixtralConfig,
}
# Derived from other keys, or about no model.
LEFT_OUT = {"transformers_version", "id2label", "label2id", "layer_types"}

defaults = {"transformers": transformers.__version__, "families": {}}
for model_type, config_class in CLASSES.items():
    # As a file without any key is read; what is derived from other keys stays apart.
    keys = {k: v for k, v in config_class().to_dict().items() if k not in LEFT_OUT}
    keys.update(keys.pop("rope_parameters"))
    keys.pop("rope_type")
    defaults["families"][model_type] = keys

folder = pathlib.Path(__file__).resolve().parent.parent / "tests/data/config"
folder.mkdir(parents=True, exist_ok=True)
text = json.dumps(defaults, indent=1, sort_keys=True)
(folder / "defaults.json").write_text(text + "\n")
