#!/usr/bin/env bash
# Runs the Nu HTML checker (https://validator.github.io/validator/) over every page, style sheet and picture of a built
# site; any error of it fails. The checker is one of the packages of this folder (npm ci --prefix tests/web --ignore-scripts); it needs
# Java.
#
#   tests/web/vnu.sh SITE
set -euo pipefail
site=${1:?which built site?}
jar=$(dirname "$0")/node_modules/vnu-jar/build/dist/vnu.jar
# One run for each kind, with the files' names in a file each, as xargs splits them where they are many.
check() {
    local kind=$1 pattern=$2
    find "$site" -name "$pattern" -print0 | sort -z | xargs -0r -n 400 java -Xss4m -XX:-UsePerfData -jar "$jar" "--$kind" --errors-only
}
# shellcheck disable=SC2310 # Each kind is checked, whatever another had.
failed=0
check html '*.html' || failed=1
check css '*.css' || failed=1
check svg '*.svg' || failed=1
[ "$failed" = 0 ] && echo "valid: $(find "$site" -name '*.html' | wc -l) pages of $site"
exit "$failed"
