#!/usr/bin/env bash
# Every relative link and picture in the pages of the root and of docs/ leads to a file, and every anchor to a heading.
set -euo pipefail
cd "$(dirname "$0")/.."

# The anchors of a Markdown file, as GitHub makes them: lower case, blanks to hyphens, no other punctuation.
anchors() {
    awk '/^```/ { code = !code } !code && /^#+ / { sub(/^#+ +/, ""); print tolower($0) }' "$1" |
        sed 's/[][`*!"#$%&'\''()+,./:;<=>?@\\^{|}~]//g; s/ /-/g'
}

bad=0 count=0
for file in *.md docs/*.md docs/*/*.md; do
    # Links outside of code: blocks go first, then spans.
    while read -r link; do
        case "$link" in http:* | https:* | mailto:* | '') continue ;; esac
        count=$((count + 1))
        path=${link%%#*}
        target=$file
        [ -z "$path" ] || target=$(dirname "$file")/$path
        if [ ! -e "$target" ]; then
            echo "$file: link to $link: there is no $target" >&2
            bad=1
        elif [[ $link == *#* && $target == *.md ]] && ! anchors "$target" | grep -qxF -- "${link#*#}"; then
            echo "$file: link to $link: $target has no such heading" >&2
            bad=1
        fi
    done < <(awk '/^ *```/ { code = !code; next } !code' "$file" | sed 's/`[^`]*`//g' |
        { grep -oE '\]\([^) ]+\)' || true; } | sed 's/^](//; s/)$//')
done
echo "docs: $count links"
exit "$bad"
