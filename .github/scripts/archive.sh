#!/usr/bin/env bash
# archive.sh NAME FOLDER OUT: packs the binary in FOLDER as OUT/NAME-vVERSION.tar.gz (.zip for Windows), with licences,
# README and changelog in a folder of the archive's own name, and its checksum beside it. The names are those that
# cargo-binstall looks for (`package.metadata.binstall` in Cargo.toml) and setup-igsite downloads.
set -euo pipefail
name=$1 from=$2 out=$3
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
folder=$name-v$("$here/version.sh")
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/$folder"
case $name in
*windows*) binary=igsite.exe ;;
*) binary=igsite ;;
esac
cp "$from/$binary" "$root/README.md" "$root/CHANGELOG.md" "$root/LICENSE-MIT" "$root/LICENSE-APACHE" "$work/$folder"
case $name in
*windows*)
    archive=$folder.zip
    python=$(command -v python3 || command -v python)
    (cd "$work" && "$python" -m zipfile -c "$archive" "$folder")
    ;;
*)
    archive=$folder.tar.gz
    chmod 755 "$work/$folder/$binary"
    tar -C "$work" -czf "$work/$archive" "$folder"
    ;;
esac
(cd "$work" && "$here/sha256.sh" "$archive" >"$archive.sha256")
mv "$work/$archive" "$work/$archive.sha256" "$out"
cat "$out/$archive.sha256"
