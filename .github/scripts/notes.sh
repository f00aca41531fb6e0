#!/usr/bin/env bash
# notes.sh TAG: what CHANGELOG.md says of the version that the tag names, for the release's page. It is an error if the
# tag is not Cargo.toml's version, or if the changelog says nothing of it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
version=$("$here/version.sh")
if [ "$1" != "v$version" ]; then
    echo "the tag is $1, and the version in Cargo.toml is $version: the tag must be v$version" >&2
    exit 1
fi
cd "$here/../.."
if ! grep -q "^version: $version$" CITATION.cff; then
    echo "CITATION.cff: expected \"version: $version\"" >&2
    exit 1
fi
notes=$(awk -v version="$version" '
    /^## / { inside = index($0, "## [" version "]") == 1; next }
    /^\[[^]]*\]: / { next }
    inside { print }
' CHANGELOG.md)
if [ -z "${notes//[$' \n']/}" ]; then
    echo "CHANGELOG.md: no section \"## [$version]\", or an empty one" >&2
    exit 1
fi
printf '%s\n' "$notes"
