#!/usr/bin/env bash
# Runs the Nu HTML checker (https://validator.github.io/validator/) over every page, style sheet and picture of a built site; any error
# of it fails. The checker comes from npm, once, into a folder outside the project; it needs Java.
#
#   tests/web/vnu.sh SITE
set -euo pipefail
site=${1:?which built site?}
cache=${VNU_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/igsite-vnu}
version=26.9.27
jar=$cache/node_modules/vnu-jar/build/dist/vnu.jar
if [ ! -f "$jar" ]; then
    mkdir -p "$cache"
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$cache" "vnu-jar@$version"
fi
# One run for each kind, with the files' names in a file each, as xargs splits them where they are many.
check() {
    local kind=$1 pattern=$2
    find "$site" -name "$pattern" -print0 | sort -z | xargs -0r -n 400 java -Xss4m -jar "$jar" "--$kind" --errors-only
}
# shellcheck disable=SC2310 # Each kind is checked, whatever another had.
failed=0
check html '*.html' || failed=1
check css '*.css' || failed=1
check svg '*.svg' || failed=1
[ "$failed" = 0 ] && echo "valid: $(find "$site" -name '*.html' | wc -l) pages of $site"
exit "$failed"
