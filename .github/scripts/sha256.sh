#!/usr/bin/env bash
# Checksums of files as `sha256sum` writes them, on systems that lack it too; `sha256.sh --check FILE` compares.
set -euo pipefail
if command -v sha256sum >/dev/null; then
    exec sha256sum "$@"
fi
exec shasum -a 256 "$@"
