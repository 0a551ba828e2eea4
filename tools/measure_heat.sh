#!/usr/bin/env bash
# Measures what counting expert heat costs on the CPU: instructions that the bundled model executes
# for a prompt and its answer, with and without, by valgrind. Start-up is taken out: each figure is
# the difference of a longer and a shorter run. Usage: measure_heat.sh [BRAID]
set -euo pipefail
cd "$(dirname "$0")/.."
braid=${1:-build/release/braid}
command -v valgrind > /dev/null || { echo "valgrind is not installed: apt-get install valgrind" >&2; exit 1; }
[[ -x $braid ]] || { echo "no program $braid: build it first" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# instructions HEAT INPUT OUTPUT
instructions() {
  valgrind --tool=callgrind --callgrind-out-file="$work/out" "$braid" bench latency \
    models/fairytale-moe --expert-heat "$1" --input-len "$2" --output-len "$3" --repeats 1 \
    --context-length 256 --quiet > "$work/said" 2>&1 || { cat "$work/said" >&2; exit 1; }
  awk '/^(summary|totals):/ { print $2; exit }' "$work/out"
}

# compare WHAT INPUT OUTPUT: instructions beyond those of 8 tokens of prompt and 2 of answer.
compare() {
  local heat
  local -A cost
  for heat in off on; do
    cost[$heat]=$(($(instructions "$heat" "$2" "$3") - $(instructions "$heat" 8 2)))
  done
  awk -v what="$1" -v off="${cost[off]}" -v on="${cost[on]}" 'BEGIN {
    printf "%-8s %14d without, %14d with: %+.3f %%\n", what, off, on, 100 * (on - off) / off
  }'
}

compare prefill 136 2
compare decode 8 34
