#!/usr/bin/env bash
# Checks the sizes of files and functions: 500 lines a file (800 in CUDA), 80 a function (250 for a
# kernel). Reads the indentation of code that clang-format has laid out. With --figures it prints
# medians and the longest instead.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t sources < <(find src tests bench -type f \
  \( -name '*.h' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh' \) 2> /dev/null | sort)
[[ ${#sources[@]} -gt 0 ]] || { echo "no sources" >&2; exit 1; }

# One line a file and a function: KIND LINES LIMIT WHERE
measure() {
  awk '
    function finish_file() { if (file != "") print "file", lines, cuda ? 800 : 500, file }
    function indent_of(text) { match(text, /^ */); return RLENGTH }
    FNR == 1 {
      finish_file()
      file = FILENAME
      cuda = file ~ /\.cuh?$/
      level = 0        # indentation of the members of the innermost type
      start = 0        # first line of the statement being read
      in_body = 0      # inside a function
    }
    { lines = FNR }
    in_body {
      if (indent_of($0) == level && substr($0, level + 1, 1) == "}") {
        print "function", FNR - start + 1, (cuda && header ~ /__global__|__device__/) ? 250 : 80, file ":" start
        in_body = 0
        start = 0
      }
      next
    }
    in_data { if (indent_of($0) == level && $0 ~ /^ *\}/) { in_data = 0; start = 0 }; next }
    /^ *(\/\/.*)?$/ || /^#/ { if (!start) next }
    level > 0 && indent_of($0) == level - 2 && $0 ~ /^ *\}/ { level -= 2; start = 0; next }
    indent_of($0) == level && !start { start = FNR; header = "" }
    start {
      header = header " " $0
      sub(/ *\/\/.*$/, "", header)
      if (header ~ /\{$/) {
        if (header ~ /^ *(inline )?namespace|^ *extern "C" *\{/) start = 0
        else if (header ~ /^ *(template *<.*> *)?(struct|class|enum|union)[^(]*\{$/) { level += 2; start = 0 }
        else if (header ~ /\(/) in_body = 1
        else in_data = 1
      } else if (header ~ /[;}]$/ && header ~ /\).*\{.*\}$/ && header !~ /=/) {
        print "function", FNR - start + 1, 80, file ":" start
        start = 0
      } else if (header ~ /[;}]$/ || $0 ~ /^ *(public|private|protected):/) start = 0
    }
    END { finish_file() }
  ' "${sources[@]}"
}

if [[ ${1:-} == --figures ]]; then
  for kind in file function; do
    measure | grep "^$kind " | sort -k2,2n | awk -v kind="$kind" '
      { size[NR] = $2; where[NR] = $4 }
      END {
        printf "%ss: %d, median %d lines, p90 %d, longest %d (%s)\n", kind, NR,
          size[int((NR + 1) / 2)], size[int((9 * NR + 9) / 10)], size[NR], where[NR]
      }'
  done
  measure | grep '^file ' | grep -vE '_(test|bench)\.|^file [0-9]+ [0-9]+ (tests|bench)/' |
    sort -k2,2n | awk '{ size[NR] = $2 } END { print "files without tests: " NR ", median " size[int((NR + 1) / 2)] " lines" }'
  exit 0
fi

measure | awk '
  $2 > $3 { print $4 ": a " $1 " of " $2 " lines, the limit is " $3; bad = 1 }
  END { exit bad }'
