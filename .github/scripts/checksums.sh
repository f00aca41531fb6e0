#!/usr/bin/env bash
# checksums.sh FOLDER: compares every archive in FOLDER with its checksum, and writes all checksums as sha256.sum.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$1"
for archive in *.tar.gz *.zip; do
    if [ ! -f "$archive" ] || [ ! -f "$archive.sha256" ]; then
        echo "$archive: no archive of this kind, or no checksum beside it" >&2
        exit 1
    fi
    cat "$archive.sha256"
done >sha256.sum
"$here/sha256.sh" --check sha256.sum
