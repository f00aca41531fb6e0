#!/usr/bin/env bash
# vulkan.sh: what of the tests runs on kernels of a GPU, on Mesa's software Vulkan: those that take minutes there and not an
# hour (docs/gpu.md). It compiles everything once more, with the feature `gpu`, and so it is no part of .ci/run yet.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never CARGO_INCREMENTAL=0

# Mesa 25 or newer, which Debian 12 has in its backports.
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
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${from[@]+"${from[@]}"}" \
        mesa-vulkan-drivers libvulkan1 >/dev/null
fi
# The software's own driver, so that a card of the machine is not what is tested here.
software=$(find /usr/share/vulkan/icd.d -name 'lvp_icd*.json' 2>/dev/null | head -n 1 || true)
if ! mesa || [ -z "$software" ]; then
    echo "Mesa 25 or newer with its software Vulkan is not on this machine" >&2
    exit 1
fi
export VK_DRIVER_FILES=$software IGSITE_REQUIRE=${IGSITE_REQUIRE-vulkan}

cargo clippy --all-targets --features gpu -- -D warnings
cargo test --features gpu --test vulkan --test devices
IGSITE_TEST_DEVICE=vulkan cargo test --features gpu --test quantized -- --nocapture
IGSITE_TEST_DEVICE=vulkan cargo test --features gpu --test families -- --nocapture --exact \
    cohere2 exaone4 falcon_of_the_newer_architecture gemma gpt2
