#!/usr/bin/env bash
# mesa.sh: prints the file of Mesa's software Vulkan, version 25 or newer, on which tests run the kernels of a GPU
# (docs/gpu.md); installs it on a Debian 12 (from its backports) or newer, as root. Fails where it cannot be had.
set -euo pipefail
mesa() {
    dpkg-query -W -f '${Version}' mesa-vulkan-drivers 2>/dev/null | grep -qE '^(2[5-9]|[3-9][0-9])\.'
}
if ! mesa && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    from=()
    if grep -q '^VERSION_CODENAME=bookworm$' /etc/os-release; then
        printf '%s\n' 'Types: deb' 'URIs: http://deb.debian.org/debian' 'Suites: bookworm-backports' 'Components: main' \
            'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg' >/etc/apt/sources.list.d/bookworm-backports.sources
        from=(-t bookworm-backports)
    fi
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${from[@]+"${from[@]}"}" \
        mesa-vulkan-drivers libvulkan1 >/dev/null
fi
# The software's own driver, so that a card of the machine is not what is tested.
software=$(find /usr/share/vulkan/icd.d -name 'lvp_icd*.json' 2>/dev/null | head -n 1 || true)
mesa && [ -n "$software" ]
echo "$software"
