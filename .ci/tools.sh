#!/usr/bin/env bash
# tools.sh: a virtual environment under target/ with the tools of requirements.txt, made once; prints its folder. Fails
# where there is no Python, or where its packages cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/target/tools
if ! cmp -s .ci/requirements.txt "$tools/requirements.txt"; then
    rm -rf "$tools"
    python3 -m venv "$tools" >&2
    "$tools/bin/pip" install --quiet --disable-pip-version-check --requirement .ci/requirements.txt >&2
    cp .ci/requirements.txt "$tools"
fi
echo "$tools"
