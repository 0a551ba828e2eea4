#!/usr/bin/env bash
# Checks that every file under src/ names only its own floor and the floors below it, and a few
# rules of the same kind. Prints each line that breaks one; exit code 1 if there is any.
set -euo pipefail
cd "$(dirname "$0")/.."

# From the bottom up. A floor may name each floor before it, except for those with a list of their
# own: pure floors, and neighbours that do not know one another.
floors="base device kernels comm flow ops layout cost layers passes experts model text steps ranks engine start lab server cli"
only="device:base kernels:base comm:base,device layout:base cost:base,flow experts:base text:base"

mapfile -t sources < <(find src -type f \( -name '*.h' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh' \) | sort)
failed=0

awk -v floors="$floors" -v only="$only" '
  BEGIN {
    count = split(floors, order, " ")
    for (i = 1; i <= count; ++i) {
      known[order[i]] = 1
      for (j = 1; j <= i; ++j) allowed[order[i], order[j]] = 1
    }
    rows = split(only, row, " ")
    for (r = 1; r <= rows; ++r) {
      split(row[r], part, ":")
      for (j = 1; j <= count; ++j) delete allowed[part[1], order[j]]
      lower = split(part[2], name, ",")
      for (j = 1; j <= lower; ++j) allowed[part[1], name[j]] = 1
      allowed[part[1], part[1]] = 1
    }
  }
  FNR == 1 {
    split(FILENAME, path, "/")
    floor = path[2]
    if (!(floor in known)) { print FILENAME ": src/" floor " is no floor"; bad = 1 }
  }
  /^#[ \t]*include "/ {
    split($0, quoted, "\"")
    split(quoted[2], target, "/")
    if (quoted[2] !~ /\//) {
      print FILENAME ":" FNR ": include with the path from src/: " quoted[2]; bad = 1
    } else if ((floor in known) && !((floor, target[1]) in allowed)) {
      print FILENAME ":" FNR ": floor " floor " must not name floor " target[1] ": " quoted[2]; bad = 1
    }
  }
  END { exit bad }
' "${sources[@]}" || failed=1

# forbid WHAT PATTERN FILES...: prints the lines of FILES that match.
forbid() {
  local what=$1 pattern=$2
  shift 2
  [[ $# -gt 0 ]] || return 0
  if grep -nE "$pattern" "$@" /dev/null; then
    echo "  ^ $what"
    failed=1
  fi
}

in_floors() {  # in_floors "a b": the sources of these floors, tests left out
  local floor file
  for floor in $1; do
    for file in "${sources[@]}"; do
      [[ $file != src/$floor/* || $file == *_test.cc ]] || echo "$file"
    done
  done
}

mapfile -t no_events < <(in_floors "ops layout cost layers passes experts model text steps ranks engine start lab server cli")
forbid "only device/ and flow/ name events" '\bcudaEvent|\bEvent\b|\b(record|wait)_event\b' "${no_events[@]}"
mapfile -t no_threads < <(in_floors "ops layout cost layers passes")
forbid "ops, layers, passes, layout and cost start no threads" 'std::(jthread|thread|async)\b' "${no_threads[@]}"
forbid "write an issue or the code, not a note" '\b(TODO|FIXME|XXX|HACK)\b' "${sources[@]}"

mapfile -t texts < <(find src cmake bench docs tests README.md CMakeLists.txt -type f \
  \( -name '*.h' -o -name '*.cc' -o -name '*.cu*' -o -name '*.md' -o -name '*.txt' -o -name '*.cmake' \) 2> /dev/null)
forbid "no path of one developer's machine" '(^|[^A-Za-z0-9_.])/(home|root|work|Users)/' "${texts[@]}"

exit "$failed"
