# For quickstart and check: timed stages and packages. Sourced, not run.

export DEBIAN_FRONTEND=noninteractive

# stage NAME COMMAND...: runs COMMAND, with its name before and its seconds after.
stage() {
  local name=$1 start=$EPOCHREALTIME
  shift
  echo "== $name"
  if ! "$@"; then
    echo "== $name: FAILED" >&2
    exit 1
  fi
  awk -v name="$name" -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "== %s: %.1f s\n", name, b - a }'
}

# install_packages PACKAGE...: installs those that are missing, with apt.
install_packages() {
  local package missing=() root=()
  if ! command -v apt-get > /dev/null; then
    echo "no apt-get here: on your system, install what Debian calls: $*"
    return 0
  fi
  for package in "$@"; do
    dpkg -s "$package" 2> /dev/null | grep -q '^Status: install ok installed' || missing+=("$package")
  done
  if [[ ${#missing[@]} -eq 0 ]]; then
    echo "all there: $*"
    return 0
  fi
  echo "installing: ${missing[*]}"
  if [[ $EUID -ne 0 ]]; then
    command -v sudo > /dev/null || {
      echo "as root, run: apt-get install ${missing[*]}" >&2
      return 1
    }
    root=(sudo)
  fi
  # A repository that has nothing to do with these packages may be out of reach: install decides.
  "${root[@]}" apt-get update -qq || echo "apt-get update had errors; going on"
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" > /dev/null
}

build_packages=(g++ cmake ninja-build ccache libfmt-dev nlohmann-json3-dev libpcre2-dev libutf8proc-dev libgloo-dev libssl-dev libedit-dev libboost1.81-dev prometheus-cpp-dev)
# With CUDA, configuring fetches headers with pip.
if command -v nvcc > /dev/null && ! python3 -m pip --version > /dev/null 2>&1; then
  build_packages+=(python3-pip)
fi
test_packages=(libgtest-dev)
lint_packages=(clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev)
