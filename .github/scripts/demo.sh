#!/usr/bin/env bash
# demo.sh IGSITE: a newcomer's first command. Makes the demo's project with this binary, builds its site, and looks whether
# it is there. Says how long each took.
set -euo pipefail
igsite=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
TIMEFORMAT='%1R s (%1U s of processor time)'
"$igsite" --version
echo "igsite init --demo demo"
time "$igsite" init --demo demo >/dev/null
echo "igsite --project demo build"
time "$igsite" --project demo build --quiet
test -s demo/site/index.html
test "$(find demo/site/experiments -name '*.html' | wc -l)" -ge 24
