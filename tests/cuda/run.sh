#!/usr/bin/env bash
# Runs the tests of the CUDA side without a GPU and without the CUDA toolkit: the
# driver of this folder stands in for CUDA's libraries, at linking and at running.
# Needs g++ 12 or newer. Arguments choose tests; without any, all on_cuda.
set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

target=${CARGO_TARGET_DIR:-target}
out=$(realpath -m "$target")/emulated-cuda
python3 tests/cuda/build.py "$out"
# What else is linked and never called: nothing is in it, but for the names of
# Candle's kernels that need CUDA's runtime.
python3 - "$out/launchers.c" <<'PYTHON'
import re, sys
sys.path.insert(0, "tests/cuda")
import build
names = re.findall(r"pub fn (\w+)", (build.candle_kernels() / "src/ffi.rs").read_text())
text = "#include <stdlib.h>\n" + "".join(f"void {name}(void) {{ abort(); }}\n" for name in names)
open(sys.argv[1], "w").write(text)
PYTHON
gcc -shared -fPIC "$out/launchers.c" -o "$out/libcudart.so"
[[ -e $out/libnvrtc.so ]] || gcc -shared -x c /dev/null -o "$out/libnvrtc.so"
ln -sf libcuda.so.1 "$out/libcuda.so"
ln -sf libcublas.so.13 "$out/libcublas.so"
ln -sf libcublasLt.so.13 "$out/libcublasLt.so"
ln -sf libcurand.so.10 "$out/libcurand.so"

export NVCC=$PWD/tests/cuda/nvcc CUDARC_CUDA_VERSION=13000 CUDA_COMPUTE_CAP=75
# The time goes to the driver, so the rest is built as quickly as possible.
export CARGO_PROFILE_DEV_OPT_LEVEL=0
cargo rustc --locked --profile test --lib --no-default-features --features cuda \
    --message-format=json -- -L native="$out" \
    -C link-arg=-Wl,--unresolved-symbols=ignore-all,-z,lazy -C relro-level=partial \
    > "$out/build.json"
program=$(python3 - "$out/build.json" <<'PYTHON'
import json, sys
messages = [json.loads(line) for line in open(sys.argv[1]) if line.startswith("{")]
print([m["executable"] for m in messages if m.get("executable")][-1])
PYTHON
)
export LD_LIBRARY_PATH=$out DRAGOMAN_TEST_DEVICE=cuda
exec "$program" --test-threads=1 "${@:-on_cuda}"
