#!/usr/bin/env bash
# Builds the extension with AddressSanitizer beside the environment .venv, and runs the native engine's tests with it.
#
# ThreadSanitizer is not offered: it does not know how GNU's OpenMP synchronises its threads and would report every kernel;
# `python -m benchmarks stress` looks for races instead.
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
site=build/sanitized
tests=("$@")
# Without the records of bits, and without the tests of memory: the sanitizer keeps what is freed for a while.
[ $# -gt 0 ] || tests=(tests/engines --ignore=tests/engines/native/test_baseline.py
  --ignore=tests/engines/native/test_memory_flat.py)
$python -m pip install --quiet --no-deps --upgrade --target "$site" -C cmake.define.FOVEATE_SANITIZE=address \
  -C build-dir=build/sanitizing .
# Leaks are not looked for: Python itself keeps much until it ends. The sanitized copy comes before the installed one.
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libstdc++.so)" \
  ASAN_OPTIONS=detect_leaks=0:halt_on_error=1 PYTHONPATH="$site" \
  $python -m pytest -q -p no:cacheprovider -o addopts="--strict-markers --import-mode=importlib" -m "not slow" \
  "${tests[@]}"
