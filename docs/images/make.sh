#!/usr/bin/env bash
# Makes the README's screenshots from a built demo site: docs/images/make.sh [SITE]. Needs Chromium.
set -euo pipefail
cd "$(dirname "$0")/../.."
site=$(realpath "${1:-site}")
claims=experiments/claims
sample=claim-040

shot() { # NAME WIDTH HEIGHT PAGE [dark]
    local profile
    profile=$(mktemp -d)
    local theme=()
    if [ "${5:-}" = dark ]; then theme=(--blink-settings=preferredColorScheme=0); fi
    chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --hide-scrollbars --virtual-time-budget=3000 "${theme[@]}" \
        --user-data-dir="$profile" --window-size="$2,$3" --screenshot="docs/images/$1.png" "file://$site/$4" 2>/dev/null
    rm -rf "$profile"
}

for theme in light dark; do
    shot "front-$theme" 1280 900 index.html "$theme"
    shot "experiment-$theme" 1280 1300 "$claims/index.html" "$theme"
    shot "sample-$theme" 1280 1300 "$claims/samples/$sample/index.html" "$theme"
    shot "map-$theme" 1280 1300 "$claims/maps/demo-orca/$sample/index.html" "$theme"
done
shot front-phone 400 860 index.html
shot experiment-phone 400 1500 "$claims/index.html"
shot sample-phone 400 1500 "$claims/samples/$sample/index.html"
shot map-phone 400 1500 "$claims/maps/demo-orca/$sample/index.html" dark
