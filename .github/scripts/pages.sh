#!/usr/bin/env bash
# pages.sh IGSITE ADDRESS: what GitHub Pages shows, in site/: the demo's site at ADDRESS, and the book, made of docs/, in
# its folder book/.
set -euo pipefail
igsite=$1 address=$2
cd "$(dirname "$0")/../.."
"$igsite" build --base-url "$address/"
"$igsite" build --project docs --base-url "$address/book/"
rm -rf site/book
cp -r docs/site site/book
test -s site/index.html
test -s site/book/index.html
