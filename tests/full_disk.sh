#!/usr/bin/env bash
# Builds on disks of many sizes that are too small, first builds and updates: nothing that was kept is damaged, the old site stands, and the
# same command finishes once there is room.
#
#   tests/full_disk.sh target/debug/igsite
#
# It mounts file systems in memory, so it needs root; it has its own mount namespace. It ends with 1 if something was lost.
set -u
if [ -z "${IN_NAMESPACE:-}" ]; then
  igsite=$(realpath "${1:?the binary}")
  IN_NAMESPACE=1 exec unshare --mount "$0" "$igsite"
fi
igsite=$1
work=$(mktemp -d)
trap 'umount "$work/disk" 2> /dev/null; rm -rf "$work"' EXIT
export NO_COLOR=1
bad=0
wrong() { echo "WRONG: $1"; sed 's/^/  /' "$work/said"; bad=1; }
build() { (cd "$work/disk" && "$igsite" build --device cpu --offline --quiet > /dev/null 2> "$work/said"); }
listing() { (cd "$work/disk/site" && find . -type f -print0 | sort -z | xargs -0 sha256sum); }

mkdir "$work/disk"
"$igsite" init --quiet "$work/project" > /dev/null || exit 2
for n in $(seq 40); do printf -- '---\ntitle: Page %s\n---\nold\n' "$n" > "$work/project/content/page$n.md"; done
full=0
for update in no yes; do
  for size in $(seq 300 60 2400); do
    mount -t tmpfs -o size="${size}k" igsite-test "$work/disk" || exit 2
    if cp -r "$work/project/." "$work/disk/" 2> /dev/null; then
      if [ $update = yes ]; then
        mount -o remount,size=64m "$work/disk"
        build || wrong "$size: the first build"
        listing > "$work/old"
        for page in "$work/disk"/content/page*.md; do sed -i 's/old/new/' "$page"; done
        used=$(df --output=used -k "$work/disk" | tail -n 1)
        mount -o remount,size=$((used + size / 12))k "$work/disk"
      fi
      build
      status=$?
      if [ $status -ne 0 ]; then
        full=$((full + 1))
        grep -q 'No space left\|free some space' "$work/said" || wrong "$size, update $update: the message"
        grep -q 'panicked\|defect' "$work/said" && wrong "$size, update $update: a panic"
        if [ $update = yes ]; then
          listing > "$work/found"
          cmp -s "$work/old" "$work/found" || wrong "$size: the old site is not as it was"
        fi
        mount -o remount,size=64m "$work/disk"
        build || wrong "$size, update $update: the next build fails"
        grep -q damaged "$work/said" && wrong "$size, update $update: something kept is damaged"
      fi
      [ -f "$work/disk/site/index.html" ] || wrong "$size, update $update: no site"
      [ -e "$work/disk/site/.igsite-stage" ] && wrong "$size, update $update: a stage was left"
    fi
    umount "$work/disk"
  done
done
echo "$full builds met a full disk"
[ $full -gt 10 ] || { echo "too few: change the sizes"; bad=1; }
exit $bad
