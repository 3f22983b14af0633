#!/usr/bin/env bash
# Make .venv what uv.lock says, from whatever state the checkout is in; returns at once when nothing changed.
# Usage: scripts/setup.sh [cpu|gpu]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly EXTRA="${1:-cpu}"
readonly UV_VERSION=0.13.9
readonly STAMP=.venv/.fitcheck-ready
readonly UNFINISHED=.uv/unfinished # not in .venv, which uv may make anew

# Another environment's settings must not leak into this one.
unset VIRTUAL_ENV PYTHONHOME PYTHONPATH UV_PROJECT_ENVIRONMENT UV_EXTRA
export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-300}" PIP_DISABLE_PIP_VERSION_CHECK=1

# Colours are for terminals: in a file they are noise.
coloured() { if [[ -t "$1" && -z "${NO_COLOR:-}" ]]; then printf '\033[%sm%s\033[0m' "$2" "$3"; else printf '%s' "$3"; fi; }
say() { printf '%s %s\n' "$(coloured 1 '1;36' '==>')" "$*"; }
die() { printf '%s %s\n' "$(coloured 2 '1;31' 'error:')" "$*" >&2; exit 1; }

# Runs, and is a Python that pyproject.toml admits. A pyenv shim may exist on PATH and still not run.
is_usable_python() {
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1
}

find_python() {
  local candidate
  for candidate in ${FITCHECK_PYTHON:-} python3.13 python3.12 python3.11 python3 python; do
    if is_usable_python "$candidate"; then "$candidate" -c 'import sys; print(sys.executable)'; return; fi
  done
  die "no Python 3.11, 3.12 or 3.13 found. Install one (Debian, Ubuntu: 'apt-get install python3 python3-venv'), or name it: FITCHECK_PYTHON=/path/to/python make setup"
}

# What .venv depends on. The path, because scripts in .venv/bin carry it.
fingerprint() {
  { pwd; echo "$EXTRA"; .venv/bin/python -V; cat pyproject.toml uv.lock scripts/setup.sh; } | sha256sum
}

is_ready() {
  is_usable_python .venv/bin/python && [[ -x .venv/bin/fitcheck && -f "$STAMP" && ! -e "$UNFINISHED" ]] &&
    [[ "$(cat "$STAMP")" == "$(fingerprint)" ]]
}

check_platform() {
  [[ "$(uname -s)" == Linux ]] ||
    die "fitcheck runs on Linux. On $(uname -s), use the containers: 'docker compose --profile cpu up'"
  case "$(uname -m)" in
    x86_64 | aarch64) ;;
    *) die "TensorFlow publishes no package for $(uname -m); x86_64 and aarch64 are supported" ;;
  esac
}

install_uv() {
  [[ "$(.uv/bin/uv --version 2>/dev/null)" == "uv $UV_VERSION"* ]] && return
  local python
  python="$(find_python)"
  say "Installing uv $UV_VERSION into .uv with $("$python" -V)"
  rm -rf .uv
  "$python" -m venv .uv ||
    die "'$python -m venv' failed. On Debian and Ubuntu: 'apt-get install python3-venv', then try again"
  .uv/bin/python -m pip install --quiet "uv==$UV_VERSION" ||
    die "uv could not be installed: is the Python package index reachable?"
}

# A sync that was cut short can leave packages that look installed: such an environment is built anew.
remove_broken_environment() {
  if [[ -e "$UNFINISHED" ]] || { [[ -e .venv || -L .venv ]] && ! is_usable_python .venv/bin/python; }; then
    say "Removing an unfinished or broken .venv"
    rm -rf .venv
  fi
}

sync_environment() {
  local python=.venv/bin/python
  [[ -x "$python" ]] || python="$(find_python)"
  touch "$UNFINISHED"
  say "Installing the locked packages into .venv (TensorFlow for ${EXTRA^^}; some 300 MB on a first run)"
  local quiet=() # its list of packages is progress for those who watch
  [[ -t 2 ]] || quiet=(--quiet)
  .uv/bin/uv sync "${quiet[@]}" --frozen --extra "$EXTRA" --python "$python" ||
    die "the packages could not be installed; the lines above say why. 'make setup' may be run again at any time"
  fingerprint >"$STAMP"
  rm -f "$UNFINISHED"
  say "Ready"
}

# Two at once, say 'make demo' and 'make test', take turns.
exec 9<.
if command -v flock >/dev/null; then flock 9; fi

if ! is_ready; then
  check_platform
  install_uv
  remove_broken_environment
  sync_environment
fi
