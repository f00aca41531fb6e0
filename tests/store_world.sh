#!/usr/bin/env bash
# `igsite compute` where disks are too small, read-only, layered, or on another machine: nothing that was kept is damaged or
# lost, and the same command finishes once it can.
#
#   tests/store_world.sh target/debug/igsite PROJECT
#
# PROJECT has models and experiments and no .igsite; it is copied (tests/store_world.rs makes one and runs this). It mounts
# file systems, so it needs root; it has its own mount namespace. The part with a network file system needs sshfs and
# OpenSSH's sftp-server, and says when it is skipped. It ends with 1 if something was lost.
set -u
if [ -z "${IN_NAMESPACE:-}" ]; then
  igsite=$(realpath "${1:?the binary}")
  project=$(realpath "${2:?the project}")
  IN_NAMESPACE=1 exec unshare --mount "$0" "$igsite" "$project"
fi
igsite=$1 project=$2
work=$(mktemp -d)
export NO_COLOR=1
tidy() {
  for place in "$work"/*/; do
    while mountpoint -q "$place"; do umount -l "$place" || break; done
  done
  rm -rf "$work"
}
trap tidy EXIT
bad=0
wrong() { echo "WRONG: $1"; sed 's/^/  /' "$work/said"; bad=1; }
compute() { "$igsite" --project "$1" compute --device cpu --offline --quiet "${@:2}" > /dev/null 2> "$work/said"; }
verify() { "$igsite" --project "$1" store verify > "$work/said" 2>&1; }
# Maps that a project needs, as a store has them: not those of a permuted model, which nobody needs once the tests they were
# made for are there, and which are then not computed again.
maps() { grep -rL --include='*.json' '"permuted":' "$1/.igsite/store/v2/attributions/" | sort; }
names() { (cd "$1/.igsite/store/v2" && find . -type f | sort); }
for place in disk whole lower upper one other far; do mkdir "$work/$place"; done

# What there is to compute.
cp -r "$project/." "$work/whole/"
compute "$work/whole" || { cat "$work/said"; exit 2; }
names "$work/whole" > "$work/expected"
size=$(du -sk "$work/whole" | cut -f 1)
bare=$(du -sk "$project" | cut -f 1)

# A full disk, at many moments.
full=0
for share in $(seq 4 4 96); do
  mount -t tmpfs -o size=$((bare + (size - bare) * share / 100 + 16))k igsite-test "$work/disk" || exit 2
  if cp -r "$project/." "$work/disk/" 2> /dev/null; then
    compute "$work/disk"
    status=$?
    if [ $status -ne 0 ]; then
      full=$((full + 1))
      grep -q 'No space left\|free some space' "$work/said" || wrong "full at $share%: the message"
      grep -q 'panicked\|defect' "$work/said" && wrong "full at $share%: a panic"
      if [ -d "$work/disk/.igsite/store/v2" ]; then
        names "$work/disk" > "$work/before"
        verify "$work/disk" || wrong "full at $share%: something kept is damaged"
        mount -o remount,size=256m "$work/disk"
        compute "$work/disk" || wrong "full at $share%: with room it fails"
        names "$work/disk" > "$work/now"
        comm -23 "$work/before" "$work/now" | grep -q . && wrong "full at $share%: something was lost"
      else
        mount -o remount,size=256m "$work/disk"
        compute "$work/disk" || wrong "full at $share%: with room it fails"
        names "$work/disk" > "$work/now"
      fi
      cmp -s "$work/expected" "$work/now" || wrong "full at $share%: not all is there"
      [ -z "$(ls -A "$work/disk/.igsite/store/tmp" 2> /dev/null)" ] || wrong "full at $share%: a file was left half written"
    fi
  fi
  umount "$work/disk"
done
echo "$full computations met a full disk"
[ $full -gt 5 ] || { echo "too few: change the sizes"; bad=1; }

# A read-only store: refused before anything is computed, and what is there can be looked at and built from.
mount -t tmpfs -o size=256m igsite-test "$work/disk" || exit 2
cp -r "$work/whole/." "$work/disk/"
mount -o remount,ro "$work/disk"
compute "$work/disk" && wrong "read-only: computed"
grep -q 'Read-only file system' "$work/said" || wrong "read-only: the message"
"$igsite" --project "$work/disk" status > "$work/said" 2>&1 || wrong "read-only: status"
"$igsite" --project "$work/disk" store ls > "$work/said" 2>&1 || wrong "read-only: ls"
"$igsite" --project "$work/disk" build --frozen --output "$work/site" > /dev/null 2> "$work/said" || wrong "read-only: build --frozen"
# Into a store of its own it computes all the same.
compute "$work/disk" --store "$work/elsewhere" || wrong "read-only: --store elsewhere"
(cd "$work/elsewhere/store/v2" && find . -type f | sort) | cmp -s - "$work/expected" || wrong "read-only: the other store"
umount "$work/disk"
echo "a read-only disk: done"

# A store that is a link to another disk.
mount -t tmpfs -o size=256m igsite-test "$work/disk" || exit 2
mkdir "$work/linked"
cp -r "$project/." "$work/linked/"
mkdir "$work/linked/.igsite" "$work/disk/store"
ln -s "$work/disk/store" "$work/linked/.igsite/store"
compute "$work/linked" || wrong "linked: compute"
part=$(maps "$work/linked" | head -n 1)
printf torn > "$part"
verify "$work/linked" && wrong "linked: damage was not seen"
grep -q torn "$work/linked/.igsite/damaged/$(basename "$part")" || wrong "linked: the damaged part is not set aside"
compute "$work/linked" || wrong "linked: compute again"
(cd "$work/linked/.igsite/store/v2" && find . -type f | sort) | cmp -s - "$work/expected" || wrong "linked: not all is there"
"$igsite" --project "$work/linked" build --frozen > /dev/null 2> "$work/said" || wrong "linked: build --frozen"
umount "$work/disk"
echo "a store on another disk: done"

# A layered disk, as in containers: what lies in the lower layer is read-only there, and copied when it is touched.
mount -t tmpfs -o size=256m igsite-test "$work/upper" || exit 2
mkdir "$work/upper/up" "$work/upper/work"
cp -r "$work/whole/." "$work/lower/"
maps "$work/lower" | head -n 5 | xargs rm
if mount -t overlay -o "lowerdir=$work/lower,upperdir=$work/upper/up,workdir=$work/upper/work" igsite-test "$work/disk" 2> "$work/said"; then
  part=$(maps "$work/disk" | head -n 1)
  printf torn > "$part"
  compute "$work/disk" || wrong "layered: compute"
  names "$work/disk" | cmp -s - "$work/expected" || wrong "layered: not all is there"
  verify "$work/disk" || wrong "layered: verify"
  umount "$work/disk"
  echo "a layered disk: done"
else
  echo "skipped: no overlay file system here"
fi
umount "$work/upper"

# A network file system: two machines, each with its own idea of one folder.
server=/usr/lib/openssh/sftp-server
printf '#!/bin/sh\nexec %s\n' $server > "$work/remote"
chmod +x "$work/remote"
join() { for machine in one other; do sshfs -o ssh_command="$work/remote" "machine:$work/far" "$work/$machine" 2> "$work/said" || return 1; done; }
leave() { for machine in one other; do fusermount -u "$work/$machine"; done; }
cp -r "$project/." "$work/far/"
if command -v sshfs > /dev/null && [ -x $server ] && [ -e /dev/fuse ] && join; then
  # Each half twice, on both, at the same time.
  running=()
  for machine in one other; do
    for shard in 0/2 1/2; do
      "$igsite" --project "$work/$machine" compute --device cpu --offline --quiet --shard $shard > /dev/null 2> "$work/said-$machine-${shard%/2}" &
      running+=($!)
    done
  done
  for job in "${running[@]}"; do
    wait "$job" || { cat "$work"/said-* > "$work/said"; wrong "network: a task failed"; }
  done
  names "$work/far" | cmp -s - "$work/expected" || wrong "network: not all is there"
  verify "$work/far" || wrong "network: verify"
  missing=$("$igsite" --project "$work/other" status --array --shards 2 2> "$work/said")
  [ -z "$missing" ] || wrong "network: shards $missing have work left"
  # Killed while it writes. Both forget what they knew of the folder.
  leave
  rm -r "$work/far/.igsite"
  join
  for delay in 0.2 0.5 0.8 1.1 1.4 1.7 2.0; do
    "$igsite" --project "$work/one" compute --device cpu --offline --quiet > /dev/null 2>&1 &
    job=$!
    sleep $delay
    kill -9 $job 2> /dev/null
    wait $job 2> /dev/null
    [ ! -d "$work/far/.igsite/store/v2" ] || verify "$work/far" || wrong "network: torn after $delay s"
  done
  compute "$work/other" || wrong "network: the next one fails"
  names "$work/far" | cmp -s - "$work/expected" || wrong "network: not all is there after kills"
  leave
  echo "a network file system (sshfs): done"
else
  echo "skipped: sshfs does not run here, so no network file system was tried"
fi
exit $bad
