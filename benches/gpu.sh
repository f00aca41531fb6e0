#!/usr/bin/env bash
# The whole check of igsite on a GPU, in one call of under ten minutes, for a machine that is only lent and has no
# internet.
#
# usage, from the repository's root:   benches/gpu.sh [IGSITE [PROGRAM ...]]
#   IGSITE   an igsite built with --features cuda, or a .tar.xz that holds it (default: $IGSITE, else .device/igsite.tar.xz)
#   PROGRAM  the example `bench`, the benchmark `load` and the test programs `reference`, `own_reference`, `quantized` and
#            `families`, built with that feature
#            (default: those beside igsite, and examples/bench there, where Cargo puts it)
# environment:
#   OUT           where results go: gpu.log, gpu.json (default ./gpu-results)
#   GPU_SECONDS   the time for everything (default 560); a step that has none left is skipped
#   IGSITE_SHARED the folder of references for the test `reference` (default: `shared` beside igsite); it skips without
#   IGSITE_BUILT_AT  where the repository was when the tests were built: that path is in them, and must lead to this checkout
#   SHAPE, DEVICE, POINTS other than mistral-7b, cuda, 512: to try this script where there is no GPU, or on one that
#                 Vulkan or Metal reach (no goal is judged then)
#
# How to come by the programs. With internet and CUDA, on the GPU machine itself:
#   cargo build --release --features cuda --bin igsite --example bench
#   cargo test --release --features cuda --no-run --test reference --test own_reference --test quantized --test families
#   cargo bench --features cuda --no-run --bench load
#   benches/gpu.sh target/release/igsite target/release/deps/{load,reference,own_reference,quantized,families}-????????????????
# Without, build before, on another machine, with ../shared/tools/cuda-offline-build (37 minutes of processor time on 2
# cores). It leaves .device/igsite.tar.xz with igsite and llvm-stand-in.so, which this script preloads for igsite's
# programs alone. Under its environment variables `cargo build --release --features cuda --example bench` and `cargo
# test --no-run` build the others; add them to the pack under their plain names, and the folder `shared/reference` too.
# captum-*.whl in .whl/ serves step 6 if Python has no captum.
#
# One line a step: PASS, FAIL or skip, its seconds, what it found. The exit status is 1 if a step failed, a goal
# included.
#
# shellcheck disable=SC2329 # step calls by name what finds its text
set -u
cd "$(dirname "$0")/.." || exit 1

out=${OUT:-gpu-results}
shape=${SHAPE:-mistral-7b}
device=${DEVICE:-cuda}
points=${POINTS:-512}
tokens=81
given=${1:-${IGSITE:-.device/igsite.tar.xz}}
[ $# -gt 0 ] && shift
programs=("$@")
end=$(($(date +%s) + ${GPU_SECONDS:-560}))

mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
log=$out/gpu.log
: >"$log"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0
steps=()     # JSON objects, one a step
benches=()   # JSON objects, as the bench and captum.py print them
summary=()   # the lines to print again at the end

# --- The frame of a step -----------------------------------------------------------------------------------------------------

quoted() { # a text as a JSON string
    local text=${1//\\/\\\\}
    text=${text//\"/\\\"}
    text=$(printf %s "$text" | tr -c '[:print:]' ' ')
    printf '"%s"' "$text"
}

report() { # VERDICT NAME SECONDS TEXT: the line of a step
    local line
    line=$(printf '%-4s  %-30s %4s s  %s' "$1" "$2" "$3" "$4")
    echo "$line" | tee -a "$log"
    summary+=("$line")
    steps+=("{\"step\": $(quoted "$2"), \"verdict\": \"$1\", \"seconds\": $3, \"told\": $(quoted "$4")}")
    [ "$1" != FAIL ] || failed=1
}

# step NAME LIMIT KEEP FINDING COMMAND...
# Runs the command for at most LIMIT seconds, and so that KEEP seconds are left for what comes after. What it prints
# goes to the log, what it prints on stdout also to $work/stdout. FINDING is a command that prints what to say of a
# success; where that begins with `skipped`, it was none.
step() {
    local name=$1 limit=$2 keep=$3 finding=$4 start seconds status told
    shift 4
    local left=$((end - keep - $(date +%s)))
    [ "$left" -ge "$limit" ] || limit=$left
    : >"$work/stdout"
    if [ "$limit" -lt 5 ]; then
        report skip "$name" 0 "no time left for it"
        return 1
    fi
    printf '\n--- %s: %s\n' "$name" "$*" >>"$log"
    start=$(date +%s)
    timeout --kill-after=5 "$limit" "$@" >"$work/stdout" 2>"$work/stderr"
    status=$?
    seconds=$(($(date +%s) - start))
    cat "$work/stderr" "$work/stdout" >>"$log"
    case $status in
    0)
        told=$($finding)
        case $told in
        skipped*) report skip "$name" "$seconds" "${told#skipped: }" ;;
        *) report PASS "$name" "$seconds" "$told" ;;
        esac
        ;;
    124 | 137) report FAIL "$name" "$seconds" "stopped after its $limit s" ;;
    *) report FAIL "$name" "$seconds" "exit status $status: $(cat "$work/stderr" "$work/stdout" | grep -v '^ *$' | tail -n 1 | cut -c1-200)" ;;
    esac
    return "$status"
}

first_line() { head -n 1 "$work/stdout"; }

number() { # KEY FILE: the first number of that key in a JSON file, or nothing
    grep -oE "\"$1\": *[-+0-9.eE]+" "$2" | head -n 1 | sed 's/.*: *//'
}

compare() { # A OPERATOR B, of decimal numbers
    awk -v a="$1" -v b="$3" "BEGIN { exit !(a + 0 $2 b + 0) }"
}

# --- 1. The machine ----------------------------------------------------------------------------------------------------------

gpu_found() { nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader | head -n 1; }
if command -v nvidia-smi >/dev/null; then
    step "1 nvidia-smi" 30 0 gpu_found nvidia-smi
else
    report skip "1 nvidia-smi" 0 "there is no nvidia-smi: no NVIDIA GPU here"
fi

# NVRTC compiles igsite's kernels: its library has to be found, and CUDA's headers. Python's own CUDA packages may have
# both.
libraries=
for folder in /usr/local/cuda/lib64 /usr/local/cuda/targets/x86_64-linux/lib /usr/local/nvidia/lib64 \
    "$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))' 2>/dev/null)"/nvidia/*/lib; do
    if compgen -G "$folder/libnvrtc.so*" >/dev/null || compgen -G "$folder/libcuda.so*" >/dev/null; then
        libraries+=$folder:
    fi
done
libraries+=${LD_LIBRARY_PATH:-}
if [ -z "${CUDA_PATH:-}" ] && [ ! -e /usr/local/cuda ] && command -v nvcc >/dev/null; then
    CUDA_PATH=$(dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")")
    export CUDA_PATH
fi
echo "libraries: ${libraries:-those of the system}; CUDA_PATH: ${CUDA_PATH:-unset}; /usr/local/cuda: $(ls -d /usr/local/cuda 2>&1)" >>"$log"

# --- 2. igsite starts --------------------------------------------------------------------------------------------------------

case $given in
*.tar.xz)
    mkdir "$work/pack"
    tar -xJf "$given" -C "$work/pack" 2>>"$log"
    binary=$work/pack/igsite
    ;;
*) binary=$given ;;
esac
if [ ! -x "$binary" ]; then
    report FAIL "2 igsite --version" 0 "$given: no igsite that can be run"
    have_igsite=
else
    beside=$(cd "$(dirname "$binary")" && pwd)
    binary=$beside/$(basename "$binary")
    # Programs built offline need the stand-in; Python must never see it, so it is preloaded here and not exported.
    preload=
    [ ! -e "$beside/llvm-stand-in.so" ] || preload=$beside/llvm-stand-in.so
    wrapped() { # PROGRAM: the path of a script that runs it with its libraries
        local script
        script=$work/run-$(basename "$1")
        printf '#!/usr/bin/env bash\nLD_PRELOAD=%q LD_LIBRARY_PATH=%q exec %q "$@"\n' "$preload" "$libraries" "$1" >"$script"
        chmod +x "$script"
        echo "$script"
    }
    igsite=$(wrapped "$binary")
    have_igsite=1
    step "2 igsite --version" 60 0 first_line "$igsite" --version || have_igsite=
fi

# --- 3. Whether the GPU is believed ------------------------------------------------------------------------------------------

# A build compares the device with the CPU before it computes anything, F of whole prompts along paths and by themselves
# while it computes, and fails on what was never written, is not finite, or was told to the log alone.
devices_found() { grep -m 1 "^${device%%:*}" "$work/stdout" || echo "skipped: no $device among $(wc -l <"$work/stdout") lines"; }
build_found() { grep -o 'beside the CPU.*' "$work/stderr" | head -n 1; }
if [ -n "$have_igsite" ]; then
    step "3 igsite devices" 60 0 devices_found "$igsite" devices
    mkdir -p "$work/demo" && cp -r content "$work/demo/"
    for experiment in claims-contrast claims; do
        step "3 build $experiment" 90 330 build_found "$igsite" build --project "$work/demo" --device "$device" \
            --experiment $experiment --offline
    done
else
    report skip "3 igsite devices, build" 0 "igsite does not start"
fi

# --- 4. The reference suites on the GPU --------------------------------------------------------------------------------------

[ -z "${IGSITE_SHARED:-}" ] && [ -n "$have_igsite" ] && [ -d "$beside/shared" ] && export IGSITE_SHARED=$beside/shared
if [ -n "${IGSITE_BUILT_AT:-}" ] && [ ! -e "$IGSITE_BUILT_AT" ]; then
    mkdir -p "$(dirname "$IGSITE_BUILT_AT")" && ln -s "$PWD" "$IGSITE_BUILT_AT"
fi
tests_found() { # a test that lacks its data passes, and says why it did nothing
    grep -o -m 1 'skipped: .*' "$work/stdout" || grep -o -m 1 '[0-9]* passed' "$work/stdout"
}
given_program() { # NAME: the path of that program, or nothing
    local path
    for path in ${programs[@]+"${programs[@]}"} ${have_igsite:+"$beside/$1" "$beside/examples/$1"}; do
        # Cargo writes reference-0123abcd.
        if [ -f "$path" ] && [[ $(basename "$path") =~ ^$1(-[0-9a-f]+)?$ ]]; then
            chmod +x "$path" 2>/dev/null
            echo "$(cd "$(dirname "$path")" && pwd)/$(basename "$path")"
            return
        fi
    done
}
for name in reference own_reference quantized families; do
    program=$(given_program "$name")
    for dtype in f32 bf16; do
        if [ -z "$program" ]; then
            report skip "4 $name $dtype" 0 "the test program $name is not given"
        elif [ -z "$have_igsite" ]; then
            report skip "4 $name $dtype" 0 "igsite does not start"
        else
            step "4 $name $dtype" 75 300 tests_found env IGSITE_TEST_DEVICE="$device" IGSITE_TEST_DTYPE=$dtype \
                "$(wrapped "$program")" --test-threads=1 --nocapture
        fi
    done
done

# --- 5. The engine's speed ---------------------------------------------------------------------------------------------------

bench_program=
if [ -n "$have_igsite" ]; then
    bench_program=$(given_program bench)
    [ -z "$bench_program" ] || bench_program=$(wrapped "$bench_program")
fi
bench_found() {
    echo "$(number seconds "$work/stdout") s, $(number evaluations_per_second "$work/stdout") evaluations/s," \
        "batch $(number batch "$work/stdout"), peak $(number peak_memory_bytes "$work/stdout") bytes"
}
bench() { # NAME LIMIT KEEP ARGUMENT...
    local name=$1 limit=$2 keep=$3
    shift 3
    if [ -z "$bench_program" ]; then
        local why="the program bench is not given"
        [ -n "$have_igsite" ] || why="igsite does not start"
        report skip "$name" 0 "$why"
        return 1
    fi
    step "$name" "$limit" "$keep" bench_found \
        "$bench_program" --shape "$shape" --tokens $tokens --device "$device" --json "$@" || return
    benches+=("$(cat "$work/stdout")")
}
seconds=
bench "5 bench bf16 $points points" 120 200 --dtype bf16 --points "$points" && seconds=$(number seconds "$work/stdout")
bench "5 bench f32 64 points" 60 200 --dtype f32 --points 64
for batch in 16 32 64 128; do
    bench "5 bench bf16 batch $batch" 40 200 --dtype bf16 --points 128 --batch $batch
done

# Weights in 4 bits: written in bfloat16 first (14 GB for 7B), and packed while they are read.
bench "5 bench nf4 128 points" 120 200 --dtype bf16 --quantization nf4 --on-disk "$work" --points 128 --repeat 1
# A GGUF file of Qwen3-8B's shape, all matrices in Q4_K (zeros, in a sparse file); they are expanded while they are read.
load_program=$(given_program load)
if [ -z "$load_program" ] || [ -z "$bench_program" ]; then
    report skip "5 bench q4_k 128 points" 0 "the programs load and bench are not both given, or igsite does not start"
elif ! "$(wrapped "$load_program")" --write "$work/q4_k.gguf" >>"$log" 2>&1; then
    report FAIL "5 bench q4_k 128 points" 0 "the file cannot be written"
else
    step "5 bench q4_k 128 points" 120 200 bench_found "$bench_program" --model "$work/q4_k.gguf" --tokens $tokens \
        --device "$device" --json --dtype bf16 --points 128 --repeat 1 && benches+=("$(cat "$work/stdout")")
    rm -f "$work/q4_k.gguf"
fi
# Prompts of 2,000 tokens, 8 in a pass: whether attention and what is kept fit.
step "5 bench 2000 tokens" 60 200 bench_found "${bench_program:-false}" --shape "$shape" --tokens 2000 --device "$device" \
    --json --dtype bf16 --points 8 --batch 8 --repeat 1

# --- 6. Beside PyTorch -------------------------------------------------------------------------------------------------------

ratio=
if ! command -v python3 >/dev/null; then
    report skip "6 captum.py" 0 "there is no python3"
elif ! why=$(timeout 60 python3 -c 'import numpy, torch, transformers' 2>&1); then
    report skip "6 captum.py" 0 "$(tail -n 1 <<<"$why")"
else
    if compgen -G '.whl/captum-*.whl' >/dev/null && ! python3 -c 'import captum.attr' 2>/dev/null; then
        python3 -m pip install -q --no-index --no-deps --target "$work/site" .whl/captum-*.whl >>"$log" 2>&1 &&
            export PYTHONPATH="$work/site${PYTHONPATH:+:$PYTHONPATH}"
    fi
    beside_found() {
        grep -oE '"(name|seconds|speed_to_torch_best)": *("[^"]*"|[0-9.eE+-]+)' "$work/stdout" | sed 's/.*: *//' | tr '\n' ' '
    }
    # It prints its result at its end, so it has to come to it: half the time to begin things, the rest to end them.
    spare=$(((end - $(date +%s)) / 2))
    step "6 captum.py bf16" 300 5 beside_found env PYTHONUNBUFFERED=1 python3 benches/captum.py --shape "$shape" \
        --tokens "$tokens" --points "$points" --dtype bf16 --device "$device" --igsite "${bench_program:-none}" --repeat 2 \
        --seconds $((spare > 150 ? 150 : spare > 1 ? spare : 1)) --json && {
        benches+=("$(cat "$work/stdout")")
        ratio=$(number igsite_to_torch_best "$work/stdout")
    }
fi

# --- 7. The goals ------------------------------------------------------------------------------------------------------------

goal() { # NAME FOUND OPERATOR WANTED UNIT
    if [ "$shape $device $points" != "mistral-7b cuda 512" ]; then
        report skip "$1" 0 "only mistral-7b on cuda with 512 points is judged"
    elif [ -z "$2" ]; then
        report skip "$1" 0 "not measured"
    elif compare "$2" "$3" "$4"; then
        report PASS "$1" 0 "$2 $5 (goal: $3 $4)"
    else
        report FAIL "$1" 0 "$2 $5 (goal: $3 $4)"
    fi
}
goal "7 goal: mistral-7b, 512 points" "$seconds" "<" 3 s
goal "7 goal: against PyTorch" "$ratio" ">=" 1.5 "times torch best"

joined() { local IFS=,; echo "$*"; }
echo "{\"schema\": \"igsite/gpu/1\", \"failed\": $failed, \"steps\": [$(joined ${steps[@]+"${steps[@]}"})]," \
    "\"benches\": [$(joined ${benches[@]+"${benches[@]}"})]}" >"$out/gpu.json"
printf '\n=== summary (%s)\n' "$out"
printf '%s\n' "${summary[@]}" | tee -a "$log"
exit $failed
