#!/usr/bin/env bash
# try-archive.sh FOLDER: compares the one archive in FOLDER with its checksum, unpacks it, and builds the demo with it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$1"
for sums in *.sha256; do
    "$here/sha256.sh" --check "$sums"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for archive in *.tar.gz *.zip; do
    case $archive in
    '*'*) ;;
    *.zip) "$(command -v python3 || command -v python)" -m zipfile -e "$archive" "$work" ;;
    *) tar -C "$work" -xzf "$archive" ;;
    esac
done
binaries=("$work"/*/igsite*)
[ ${#binaries[@]} = 1 ]
"$here/demo.sh" "${binaries[0]}"
