#!/usr/bin/env bash
# The steps of action.yml, which run anywhere.
#   setup.sh resolve    of VERSION and REPOSITORY: version, target and folder, as outputs of the step
#   setup.sh download   that version into FOLDER
# SETUP_IGSITE_RELEASES is where releases are, in the place of GitHub; a folder's file:// address will do.
set -euo pipefail

releases=${SETUP_IGSITE_RELEASES:-https://github.com/$REPOSITORY/releases}
fail() {
    echo "::error::setup-igsite: $*" >&2
    exit 1
}

target() {
    case ${RUNNER_OS:-$(uname -s)}-${RUNNER_ARCH:-$(uname -m)} in
    Linux-X64 | Linux-x86_64) echo x86_64-unknown-linux-gnu ;;
    Linux-ARM64 | Linux-aarch64) echo aarch64-unknown-linux-gnu ;;
    macOS-X64 | Darwin-x86_64) echo x86_64-apple-darwin ;;
    macOS-ARM64 | Darwin-arm64) echo aarch64-apple-darwin ;;
    Windows-X64) echo x86_64-pc-windows-msvc ;;
    *) fail "no binary for ${RUNNER_OS:-$(uname -s)} on ${RUNNER_ARCH:-$(uname -m)}; \`cargo install --locked --git https://github.com/$REPOSITORY igsite\` compiles one" ;;
    esac
}

resolve() {
    local version=${VERSION#v} where
    if [ "$version" = latest ]; then
        # GitHub answers with the address of the newest release's page, which ends with its tag.
        where=$(curl --fail --silent --show-error --location --retry 3 --output /dev/null --write-out '%{url_effective}' \
            "$releases/latest") || fail "$releases/latest: no answer"
        version=${where##*/v}
    fi
    [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?$ ]] ||
        fail "version: found \"$version\", expected a release as \"0.1.0\", or \"latest\" where $releases has one"
    local target
    target=$(target)
    {
        echo "version=$version"
        echo "target=$target"
        echo "folder=${RUNNER_TOOL_CACHE:-$HOME/.cache}/igsite/$version/$target"
    } >>"$GITHUB_OUTPUT"
}

download() {
    local target suffix=.tar.gz name work
    target=$(target)
    case $target in *windows*) suffix=.zip ;; esac
    name=igsite-$target-v$VERSION
    work=$(mktemp -d)
    # shellcheck disable=SC2064
    trap "rm -rf '$work'" EXIT
    for file in "$name$suffix" "$name$suffix.sha256"; do
        curl --fail --silent --show-error --location --retry 3 --output "$work/$file" \
            "$releases/download/v$VERSION/$file" ||
            fail "$releases/download/v$VERSION/$file: not there. Is v$VERSION released? $releases lists what is"
    done
    (
        cd "$work"
        if command -v sha256sum >/dev/null; then
            sha256sum --check --strict "$name$suffix.sha256"
        else
            shasum -a 256 --check --strict "$name$suffix.sha256"
        fi
    ) || fail "$name$suffix is not what its checksum says: the download was damaged or changed"
    if [ "$ATTESTATION" = false ]; then
        echo "The attestation is not looked at."
    elif command -v gh >/dev/null; then
        gh attestation verify "$work/$name$suffix" --repo "$REPOSITORY" ||
            fail "GitHub does not know $name$suffix as built by $REPOSITORY"
    elif [ "$ATTESTATION" = true ]; then
        fail "attestation: true needs gh, which is not installed"
    else
        echo "The attestation is not looked at: gh is not installed."
    fi
    case $suffix in
    .zip) (cd "$work" && unzip -q "$name.zip") ;;
    *) tar -C "$work" -xzf "$work/$name.tar.gz" ;;
    esac
    mkdir -p "$FOLDER"
    cp "$work/$name"/igsite* "$FOLDER"
}

case ${1-} in
resolve | download) "$1" ;;
*) fail "setup.sh resolve|download" ;;
esac
