#!/usr/bin/env bash
# readme.sh FILE: makes the links and pictures of a README lead to this version on GitHub, for pages that show it elsewhere
# (PyPI, archives).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
at=https://github.com/igsite/igsite
version=v$("$here/version.sh")
sed -E \
    -e "s#\]\(([^():]+\.png)\)#](@:/raw/$version/\1)#g" \
    -e "s#\]\(([^():]+)\)#](@:/blob/$version/\1)#g" \
    -e "s#@:#$at#g" "$1" >"$1.new"
mv "$1.new" "$1"
