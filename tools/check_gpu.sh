#!/usr/bin/env bash
# Runs everything that needs GPUs, and prints the figures of docs/performance.md.
#
#   tools/check_gpu.sh [--sanitize] [BUILD]
#
# BUILD (build/release) holds braid and the test programs; with one GPU what needs two is left out.
# --sanitize runs a layer and the kernels' tests under compute-sanitizer instead. The reference in
# PyTorch is left out where python3 has no torch. Exit code 1 if anything failed.
set -uo pipefail
cd "$(dirname "$0")/.."

sanitize=0
[[ ${1:-} != --sanitize ]] || { sanitize=1; shift; }
build=${1:-build/release}
gpus=$(nvidia-smi -L | wc -l)
failed=0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

run() {  # run NAME COMMAND...: prints the command and what it says
  local name=$1
  shift
  printf '\n== %s: %s\n' "$name" "$*"
  "$@" || { echo "== $name: FAILED"; failed=1; }
}

layer() { "$build/braid" bench layer "$@" --load-format dummy --device cuda --quiet; }
experts='{"first_k_dense_replace": 0}'  # the first layer is a MoE layer

glm() { layer bench/shapes/glm-4.5-air --json-model-override-args "$experts" "$@"; }
qwen() { layer bench/shapes/qwen2.5-72b "$@"; }
small() { layer tests/goldens/glm4_moe --json-model-override-args "$experts" --step-timeout 2 "$@"; }

loads() {  # loads FOLDER OPTIONS...: a model's weights, and two tokens
  "$build/braid" bench latency "$@" --device cuda --dtype bfloat16 --batch-size 1 --input-len 16 \
    --output-len 2 --repeats 1
}

tests() {  # tests PROGRAM FILTER
  "$build/$1" --gtest_filter="$2" --gtest_brief=1
}

# ends_with_fault AXIS FAULT WORDS...: two ranks along tp or dp end within 10 seconds, with these
# words.
ends_with_fault() {
  local axis=$1 fault=$2 start=$SECONDS output word
  shift 2
  if output=$(small "--$axis" 2 --tokens 300 --check --inject-fault "$fault" 2>&1); then
    echo "the run did not fail"
    return 1
  fi
  echo "$output" | tail -n 1
  for word in "$@"; do
    [[ $output == *"$word"* ]] || { echo "not said: $word"; return 1; }
  done
  [[ $((SECONDS - start)) -le 10 ]] || { echo "took $((SECONDS - start)) s"; return 1; }
}

if [[ $sanitize -eq 1 ]]; then
  for tool in memcheck racecheck synccheck; do
    run "$tool, layer" compute-sanitizer --tool "$tool" --error-exitcode 1 \
      "$build/braid" bench layer tests/goldens/glm4_moe --json-model-override-args "$experts" \
      --load-format dummy --device cuda --quiet --tokens 5,127,300 --rounds 1 --step-timeout 120
  done
  run "memcheck, kernels" compute-sanitizer --tool memcheck --error-exitcode 1 \
    "$build/kernels_test" --gtest_filter='*Cuda*' --gtest_brief=1
  exit "$failed"
fi

run "uploads" tests device_test 'Cuda*'
run "executor" tests flow_test 'Cuda*'
run "kernels" tests kernels_test '*Cuda*'
run "registered kernels" tests ops_test '*Cuda*'
audited='{"first_k_dense_replace": 0, "hidden_size": 2048, "moe_intermediate_size": 512,
  "num_attention_heads": 16}'
run "declarations" layer tests/goldens/glm4_moe --json-model-override-args "$audited" \
  --tokens 127,300 --check --rounds 2
run "a MoE layer" glm --tokens 1,5,8,127 --check
glm --tokens 127 --check --rounds 10 --dump "$folder" || failed=1  # with the CPU's output
glm --tokens 1000,4096 --rounds 10 --dump "$folder" || failed=1
if python3 -c 'import torch, safetensors' 2> /dev/null; then
  run "reference" python3 tools/reference_layer.py bench/shapes/glm-4.5-air/config.json "$folder" \
    --override "$experts"
  rm -f "$folder"/*
  qwen --tokens 1,127,1000,4096 --rounds 10 --dump "$folder" || failed=1
  run "reference" python3 tools/reference_layer.py bench/shapes/qwen2.5-72b/config.json "$folder"
fi
run "whole models" "$build/tests/braid_test" --gtest_filter='Gpu*:*/GpuGoldenTest.*' --gtest_brief=1
if python3 -c 'import numpy' 2> /dev/null; then  # 21 GB; the line "loading the weights" has GB/s
  run "a checkpoint" python3 tools/make_checkpoint.py "$folder/checkpoint"
  run "weights read" loads "$folder/checkpoint"
  run "weights made up" loads "$folder/checkpoint" --load-format dummy
  rm -rf "$folder/checkpoint"
fi
run "decode rows" glm --tokens 1,8,32,128 --context 1024 --trace "$folder/decode.json"
run "five techniques" "$build/braid" bench techniques models/fairytale-moe --quick --device cuda
if [[ $gpus -ge 2 ]]; then
  for test in BothWays Captured Times; do
    run "sums over GPUs" tests comm_test "CudaAllReduceTest.$test*"
  done
  for test in Bitwise Captured ManyInARow GroupsAlong Times; do
    run "rows of different counts" tests comm_test "CudaRaggedTest.$test*"
  done
  for test in Bitwise Captured ManyInARow Times; do
    run "rows to one GPU each" tests comm_test "CudaSendsTest.$test*"
  done
  run "two ranks, dp" glm --dp 2 --tokens 1,127 --check --trace "$folder/dp.json"
  run "two ranks, dp, decode" glm --dp 2 --tokens 8,127 --context 1024 --check --rounds 10
  run "two ranks, dp, experts by width" glm --dp 2 --ep 1 --tokens 127 --check --rounds 10
  run "two ranks, dp, many rows" glm --dp 2 --tokens 1000,4096 --rounds 10
  run "two ranks, dp, declarations" layer tests/goldens/glm4_moe --json-model-override-args \
    "$audited" --dp 2 --tokens 127,300 --check --rounds 2
  run "two ranks, tp" glm --tp 2 --tokens 1,127 --check --trace "$folder/tp.json"
  run "two ranks, ep" glm --tp 2 --ep 2 --tokens 127 --check --rounds 10
  for part in down o_proj; do
    run "share hidden" qwen --tp 2 --part "$part" --tokens 4096,16384 --rounds 40 \
      --trace "$folder/$part.json"
  done
  run "a dense layer, chunks continued" qwen --tp 2 --tokens 4096,16384 --chunks 4,8 --rounds 20
  run "a killed rank" ends_with_fault tp kill:1:20:9 "rank 1 died by signal 9" "step = 20" "op 10"
  run "a hung kernel" ends_with_fault tp hang:0:20:9 "step = 20" "op 9: layer 0"
  run "a skipped collective" ends_with_fault tp skip:1:2:10 "another result than serial" "rank = 1"
  run "a killed rank, dp" ends_with_fault dp kill:1:20:9 "rank 1 died by signal 9" "step = 20"
  run "a hung kernel, dp" ends_with_fault dp hang:0:20:9 "step = 20" "op 9: layer 0"
  run "a fresh run" small --tp 2 --tokens 300 --check --rounds 5
fi
exit "$failed"
