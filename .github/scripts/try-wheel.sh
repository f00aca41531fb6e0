#!/usr/bin/env bash
# try-wheel.sh FOLDER: installs the one wheel in FOLDER into a fresh virtual environment, as a user who has Python and
# nothing else, and builds the demo with it. A wheel above 50 MB is an error.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
wheels=("$1"/*.whl)
if [ ${#wheels[@]} != 1 ] || [ ! -f "${wheels[0]}" ]; then
    echo "$1: one wheel is expected, and there is: ${wheels[*]}" >&2
    exit 1
fi
wheel=$(cd "$1" && pwd)/$(basename "${wheels[0]}")
size=$(wc -c <"$wheel")
echo "$(basename "$wheel"): $size bytes"
if [ "$size" -gt 50000000 ]; then
    echo "the wheel is above 50 MB" >&2
    exit 1
fi
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python=$(command -v python3 || command -v python)
"$python" -m venv "$home/venv"
bin=$home/venv/bin
[ -d "$bin" ] || bin=$home/venv/Scripts
TIMEFORMAT='%1R s (%1U s of processor time)'
echo "pip install $(basename "$wheel")"
time "$bin/python" -m pip install --quiet --no-index --disable-pip-version-check "$wheel"
HOME=$home PATH="$bin:/usr/bin:/bin" "$here/demo.sh" igsite
