#!/usr/bin/env bash
# wheel.sh TOOLS: a wheel of the igsite that `cargo test` has built, made by maturin, installed into a fresh virtual
# environment, and the demo built with it.
#
# maturin asks Cargo for the program by itself. That would compile Burn once more: without the tests, dependencies have
# other features. So it is given a `cargo` that asks for the program together with one test, as `.ci/run` does, and
# that is already there. A release's wheel is built by maturin alone (.github/workflows/binaries.yml).
set -euo pipefail
tools=$1
cd "$(dirname "$0")/.."
work=$PWD/target/wheel
rm -rf "$work"
mkdir -p "$work/bin" "$work/dist"
REAL_CARGO=$(command -v cargo)
export REAL_CARGO WORK=$work
cat >"$work/bin/cargo" <<'SHIM'
#!/usr/bin/env bash
set -euo pipefail
[ "${1-}" = rustc ] || exec "$REAL_CARGO" "$@"
said=$WORK/cargo.json
"$REAL_CARGO" test --locked --features gpu --no-run --test architecture --message-format json-render-diagnostics >"$said"
program=$(python3 - "$said" <<'PYTHON'
import json, sys
for line in open(sys.argv[1]):
    message = json.loads(line)
    if message["reason"] == "compiler-artifact" and message["target"]["kind"] == ["bin"]:
        print(message["executable"])
PYTHON
)
# What debuggers read is a good part of it, and in no release.
strip -o "$WORK/igsite" "$program"
python3 - "$said" "$program" "$WORK/igsite" <<'PYTHON'
import json, sys
said, program, stripped = sys.argv[1:]
for line in open(said):
    message = json.loads(line)
    if message["reason"] == "compiler-artifact" and message["executable"]:
        if message["executable"] != program:
            continue
        message["executable"] = stripped
        message["filenames"] = [stripped]
    print(json.dumps(message))
PYTHON
SHIM
chmod +x "$work/bin/cargo"
before=$SECONDS
(
    unset CARGO_BUILD_TARGET
    export CARGO=$work/bin/cargo
    PATH=$work/bin:$PATH "$tools/bin/maturin" build --quiet --profile dev --compatibility linux --out "$work/dist"
)
echo "wheel: made in $((SECONDS - before)) s"
.github/scripts/try-wheel.sh "$work/dist"
