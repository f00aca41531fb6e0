#!/usr/bin/env bash
# image-context.sh ARCHIVES CONTEXT: what the Containerfile copies. CONTEXT/amd64/igsite, CONTEXT/arm64/igsite, and
# CONTEXT/amd64/igsite-cuda, of those archives that are there.
set -euo pipefail
archives=$1 context=$2
here=$(cd "$(dirname "$0")" && pwd)
version=$("$here/version.sh")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
found=0
while read -r name place; do
    folder=igsite-$name-v$version
    archive=$archives/$folder.tar.gz
    [ -f "$archive" ] || continue
    (cd "$archives" && "$here/sha256.sh" --check "$folder.tar.gz.sha256")
    tar -C "$work" -xzf "$archive"
    mkdir -p "$context/$(dirname "$place")"
    mv "$work/$folder/igsite" "$context/$place"
    found=$((found + 1))
done <<'LIST'
x86_64-unknown-linux-gnu amd64/igsite
aarch64-unknown-linux-gnu arm64/igsite
cuda-x86_64-unknown-linux-gnu amd64/igsite-cuda
LIST
if [ "$found" = 0 ]; then
    echo "$archives: no archive of Linux, of version $version" >&2
    exit 1
fi
