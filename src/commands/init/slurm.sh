#!/bin/bash
# Computes the project's maps as a job array of Slurm, and then builds the site. The project lies on a file system that all
# nodes share.
#
#   ./slurm.sh            downloads what is missing, then submits the array and a job that builds when all of it is done
#   ./slurm.sh --retry    submits again those tasks that have work left, and the build
#
# All that was finished is kept, whatever ends a task: a time limit, a failed node, scancel. --retry goes on from there.
# docs/cluster.md of igsite says more.

# What a task needs. Each loads one or two models, and computes a share of the prompts.
#SBATCH --job-name=igsite
#SBATCH --output=slurm-%x-%A_%a.out
#SBATCH --time=04:00:00
##SBATCH --gpus=1
##SBATCH --cpus-per-task=8
##SBATCH --mem=64G
# A minute before the time is over: what is under way is finished or dropped, all else is kept, and the task ends with 75.
#SBATCH --signal=B:TERM@60

# How many tasks share the work. Slurm allows 1001 at most by default (MaxArraySize).
export IGSITE_SHARDS=${IGSITE_SHARDS:-8}
# Where tasks keep what they compute: nothing for the project's own .igsite/, or a folder in which each has one of its own,
# to be merged at the end.
export IGSITE_STORES=${IGSITE_STORES:-}
igsite=${IGSITE:-igsite}

set -euo pipefail

merge() {
    # A task that has not begun has no folder.
    shopt -s nullglob
    local stores=()
    if [ -n "$IGSITE_STORES" ]; then stores=("$IGSITE_STORES"/*/); fi
    if [ ${#stores[@]} -gt 0 ]; then "$igsite" store merge "${stores[@]}"; fi
}

case ${IGSITE_STEP:-submit} in
task)
    store=()
    if [ -n "$IGSITE_STORES" ]; then store=(--store "$IGSITE_STORES/$SLURM_ARRAY_TASK_ID"); fi
    # --shards, since Slurm counts only the tasks that were submitted now, which may be a few of them again. With exec,
    # signals reach igsite.
    exec "$igsite" compute --offline --shards "$IGSITE_SHARDS" "${store[@]}"
    ;;
build)
    merge
    # What was computed on GPUs is read, whatever this node has.
    exec "$igsite" build --frozen
    ;;
submit)
    cd "$(dirname "$0")"
    if [ "${1:-}" = --retry ]; then
        merge
        array=$("$igsite" status --array)
    else
        # Once, and not by all tasks at the same time.
        "$igsite" fetch
        array=0-$((IGSITE_SHARDS - 1))
    fi
    after=()
    if [ -n "$array" ]; then
        # At most 8 tasks at a time: --array="$array%8".
        job=$(IGSITE_STEP=task sbatch --parsable --array="$array" slurm.sh)
        echo "tasks $array: job $job"
        after=(--dependency="afterok:${job%%;*}" --kill-on-invalid-dep=yes)
    fi
    job=$(IGSITE_STEP=build sbatch --parsable "${after[@]}" --output=slurm-%x-build-%j.out slurm.sh)
    echo "build: job $job"
    ;;
esac
