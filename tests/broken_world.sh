#!/usr/bin/env bash
# Makes the n-th system call that moves, names or removes a file fail, and kills igsite at it, while a site is updated; for every n.
# After a failure the old site must stand at once; after a kill, the old or the new one after the next build, also after one that fails.
#
#   tests/broken_world.sh target/debug/igsite [calls...]
#
# It needs strace, and no model: the project has pages only. It ends with 1 if a mixture was seen.
set -u
igsite=$(realpath "${1:?the binary}")
shift
calls=("$@")
[ ${#calls[@]} -gt 0 ] || calls=(rename,renameat,renameat2 link,linkat unlink,unlinkat mkdir,mkdirat rmdir write,pwrite64 openat)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# One thread takes the steps of a move, so that the n-th is the n-th.
export RAYON_NUM_THREADS=1 NO_COLOR=1

page() { printf -- '---\ntitle: %s\n---\n%s\n' "$1" "$2" > "$3"; }
listing() { (cd "$1" && find . -path ./.igsite-stage -prune -o -type f -print0 | sort -z | xargs -0 sha256sum); }
build() { (cd "$work/now" && "$@" "$igsite" build --device cpu --offline --quiet > /dev/null 2> "$work/said"); }

make_old() {
  rm -rf "$work/now"
  cp -a "$work/base" "$work/now"
}
"$igsite" init --quiet "$work/base" > /dev/null || exit 2
for name in a b c gone; do page "$name" "old" "$work/base/content/$name.md"; done
mkdir "$work/base/static"  2> /dev/null
echo old > "$work/base/static/becomes"
cp -a "$work/base" "$work/now"
build || { cat "$work/said"; exit 2; }
rm -rf "$work/base"
mv "$work/now" "$work/base"
echo foreign > "$work/base/site/mine.txt"
listing "$work/base/site" > "$work/old"
# The update: pages changed, one gone, some new, a file that becomes a folder.
rm "$work/base/content/gone.md" "$work/base/static/becomes"
for name in a b c fresh deep; do page "$name" "new" "$work/base/content/$name.md"; done
mkdir "$work/base/static/becomes"
echo new > "$work/base/static/becomes/inside"
make_old
build || { cat "$work/said"; exit 2; }
listing "$work/now/site" > "$work/new"
cmp -s "$work/old" "$work/new" && { echo "the update changes nothing"; exit 2; }

is() { listing "$work/now/site" > "$work/found"; cmp -s "$work/found" "$work/$1"; }
bad=0
wrong() { echo "MIXTURE: $1"; sed 's/^/  /' "$work/said"; diff "$work/old" "$work/found" | sed 's/^/  /' | head -20; bad=1; }

for set in "${calls[@]}"; do
  for how in error=EIO error=ENOSPC signal=KILL; do
    n=1
    seen=0
    while :; do
      make_old
      build strace -f -qq -o "$work/trace" -e trace="$set" -e inject="$set:$how:when=$n"
      status=$?
      if ! grep -qE 'INJECTED|killed by SIGKILL' "$work/trace"; then break; fi
      case $how in
        error=*)
          if [ $status -eq 0 ]; then is new || wrong "$set $how $n: status 0 and not the new site"; else is old || wrong "$set $how $n: status $status and not the old site"; fi
          ;;
        *)
          is old || is new || seen=$((seen + 1))
          # A build that fails puts back as well.
          mkdir -p "$work/now/templates"
          echo '{{ oops' > "$work/now/templates/page.html"
          build
          is old || is new || wrong "$set $how $n: after a build that fails"
          rm "$work/now/templates/page.html"
          ;;
      esac
      build || { cat "$work/said"; wrong "$set $how $n: the next build fails"; }
      is new || wrong "$set $how $n: after the next build"
      [ -e "$work/now/site/.igsite-stage" ] && wrong "$set $how $n: a stage was left"
      n=$((n + 1))
      [ $n -gt 400 ] && break
    done
    echo "$set $how: $((n - 1)) calls, $seen mixtures between a kill and the next build"
  done
done
exit $bad
