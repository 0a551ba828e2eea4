#!/usr/bin/env bash
# Tests of check_floors.sh and check_sizes.sh: a small tree with one offence after another.
set -euo pipefail
tools=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failures=0

lines() {  # lines COUNT TEXT
  for ((i = 0; i < $1; ++i)); do echo "$2"; done
}

# expect_caught CHECK FILE TEXT WORDS: with TEXT in FILE, CHECK fails and says WORDS.
expect_caught() {
  local output
  mkdir -p "$tree/$(dirname "$2")"
  echo "$3" > "$tree/$2"
  if output=$("$tree/tools/$1" 2>&1) || ! grep -qF "$4" <<< "$output"; then
    echo "$1 missed '$4': $output"
    failures=$((failures + 1))
  fi
  rm "$tree/$2"
}

mkdir -p "$tree/src/base" "$tree/src/flow" "$tree/tools"
cp "$tools"/check_*.sh "$tree/tools/"
printf '#include "base/a.h"\n#include <map>\n\nnamespace braid {\n\nstruct Event;\n\n}\n' > "$tree/src/flow/a.cc"
{ echo "class A {"; echo "  int f(int a,"; echo "        int b) {"; lines 77 "    ++a;"; echo "  }"; echo "};";
  echo "const int t[] = {"; lines 90 "  1,"; echo "};"; } > "$tree/src/base/a.h"
for check in check_floors.sh check_sizes.sh; do
  "$tree/tools/$check" || { echo "$check refuses a good tree"; failures=$((failures + 1)); }
done

expect_caught check_floors.sh src/base/b.h '#include "flow/a.h"' 'src/base/b.h:1: floor base must not name floor flow'
expect_caught check_floors.sh src/base/b.h '#include "a.h"' 'include with the path from src/: a.h'
expect_caught check_floors.sh src/layout/b.h '#include "kernels/a.h"' 'floor layout must not name floor kernels'
expect_caught check_floors.sh src/text/b.h '#include "flow/a.h"' 'floor text must not name floor flow'
expect_caught check_floors.sh src/attic/b.h 'int a;' 'src/attic is no floor'
expect_caught check_floors.sh src/layers/b.h 'struct Event;' 'only device/ and flow/ name events'
expect_caught check_floors.sh src/passes/b.cc 'std::thread t;' 'start no threads'
expect_caught check_floors.sh src/base/b.cc "// $(printf TO)DO: later" 'write an issue or the code'
expect_caught check_floors.sh src/base/b.cc "open(\"/$(printf home)/me/x\");" "no path of one developer's machine"

expect_caught check_sizes.sh src/base/b.cc "$(lines 501 'int x;')" 'a file of 501 lines, the limit is 500'
expect_caught check_sizes.sh src/base/b.cc "$(echo 'int f() {'; lines 79 '  g();'; echo '}')" 'a function of 81 lines'
expect_caught check_sizes.sh src/base/b.h "$(echo 'struct B {'; echo '  int f() {'; lines 80 '    g();'; echo '  }'; echo '};')" \
  'src/base/b.h:2: a function of 82 lines'
expect_caught check_sizes.sh src/base/b.cu "$(echo '__global__ void k() {'; lines 250 '  g();'; echo '}')" \
  'a function of 252 lines, the limit is 250'

[[ $failures -eq 0 ]] && echo "checks: every offence is caught"
exit "$((failures > 0))"
