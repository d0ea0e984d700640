#!/usr/bin/env python3
"""Builds the stand-in for CUDA's libraries (see README.md).

    python3 tests/cuda/build.py OUT [--candle-kernels PATH]

compiles every kernel of src/backend/kernels/cuda and of the candle-kernels
crate, and the driver, into OUT/libcuda.so.1 and the libraries beside it.
Objects are kept in OUT/objects by the hash of what they are made of.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OURS = ROOT / "src" / "backend" / "kernels" / "cuda"
CANDLE = ["affine", "binary", "cast", "fill", "indexing", "quantized", "reduce", "sort",
          "ternary", "unary"]
CXX = os.environ.get("CXX", "g++")
FLAGS = ["-std=c++20", "-O2", "-g1", "-fPIC", "-march=x86-64-v3", "-fno-strict-aliasing",
         "-fwrapv", "-fno-math-errno", "-ffp-contract=fast", "-fvisibility=hidden",
         "-DDRAGOMAN_EMULATED"]
LIBRARIES = {
    "libcublas.so.13": ["cublas.cpp"],
    "libcublasLt.so.13": ["cublaslt.cpp"],
    "libcurand.so.10": ["curand.cpp"],
}

def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def candle_kernels():
    """The folder of the candle-kernels crate in cargo's registry."""
    # Of this platform alone: nobody has fetched what others depend on.
    host = re.search(r"^host: (\S+)$", run("rustc", "-vV"), re.MULTILINE)[1]
    known = json.loads(run("cargo", "metadata", "--format-version", "1", "--locked",
                           "--features", "cuda", "--filter-platform", host,
                           "--manifest-path", ROOT / "Cargo.toml"))
    for package in known["packages"]:
        if package["name"] == "candle-kernels":
            return Path(package["manifest_path"]).parent
    sys.exit("candle-kernels is not among the dependencies; give --candle-kernels PATH")


def closing(text, at):
    """The place after the bracket that closes the one at `at`."""
    depth = 0
    for place in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return place + 1
    raise ValueError("a bracket is not closed")


def without_launch_bounds(text):
    while (found := re.search(r"__launch_bounds__\s*\(", text)):
        text = text[: found.start()] + text[closing(text, found.end() - 1) :]
    return text


SHARED = re.compile(
    r"(?P<extern>extern\s+)?(?:static\s+)?__shared__\s+"
    r"(?P<align>__align__\s*\(\s*\d+\s*\)\s*|alignas\s*\(\s*\d+\s*\)\s*)?"
    r"(?P<type>[A-Za-z_][\w:<>, ]*?[\s*&>]+)(?P<name>\w+)\s*(?P<dims>(?:\[[^\];]*\]\s*)*);")


def guarded(declaration):
    """A shared array with guards, in place of a plain one."""
    name, dims = declaration["name"], declaration["dims"].strip()
    type_ = declaration["type"].strip()
    if declaration["extern"]:
        return f"DYNAMIC_SHARED({type_}, {name});"
    return (f"using {name}_type = {type_} {dims}; "
            f"static ::emulated::Shared<{name}_type> {name}_guarded; "
            f"auto &{name} = {name}_guarded.here();")


def headers_of(folder, stubs):
    """The standard headers that a folder's files include.

    For all that they include in angle brackets an empty file is put into
    `stubs`: what the preprocessor gives is the folder's own code then.
    """
    found = {"emulate.cuh"}
    for path in [*folder.glob("*.cu"), *folder.glob("*.cuh")]:
        found |= set(re.findall(r"#\s*include\s*<([^>]+)>", path.read_text()))
        found |= set(re.findall(r'#\s*include\s*"(cuda\w+\.h)"', path.read_text()))
    for header in found:
        (stubs / header).parent.mkdir(parents=True, exist_ok=True)
        (stubs / header).touch()
    ours = ("cuda", "emulate", "mma")
    return sorted(header for header in found if not header.startswith(ours))


def translated(source, stubs, early_exit):
    """C++ of a file of kernels, each registered by its name."""
    headers = "".join(f"#include <{name}>\n" for name in headers_of(source.parent, stubs))
    text = run(CXX, "-E", "-nostdinc", "-I", stubs, "-I", source.parent, "-x", "c++",
               "-DDRAGOMAN_EMULATED", "-D__CUDACC__", "-D__CUDA_ARCH__=900",
               "-D__CUDACC_VER_MAJOR__=13", "-D__CUDACC_VER_MINOR__=0",
               "-DCUDA_VERSION=13000", source)
    text = without_launch_bounds(text)
    kernel = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(\w+)\s*\(')
    names = list(dict.fromkeys(kernel.findall(text)))
    text = kernel.sub(r"void \1(", text)
    text = SHARED.sub(guarded, text)
    registered = "".join(
        f'const ::emulated::Registered registered_{name}("{name}", {name}, '
        f"{'true' if early_exit else 'false'});\n" for name in names)
    return (f'#include "emulate.cuh"\n#include "driver/registry.h"\n{headers}namespace {{\n'
            "namespace emulated { using namespace ::emulated; }\n"
            f"{text}\n{registered}}}\n"), names


class Objects:
    """Compiles C++ once for each content and list of flags."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        # What every file sees.
        headers = [*HERE.glob("emulate.cuh"), *HERE.glob("emulated/*.cuh"),
                   *HERE.glob("emulated/*.h"), HERE / "driver" / "registry.h"]
        self.words = "".join(header.read_text() for header in sorted(headers))
        self.used = set()

    def compile(self, name, text, flags=()):
        how = " ".join([CXX, *FLAGS, *flags])
        key = hashlib.sha256((self.words + text + how).encode())
        object_ = self.folder / f"{name}-{key.hexdigest()[:20]}.o"
        self.used.add(object_)
        if not object_.exists():
            source = object_.with_suffix(".cpp")
            source.write_text(text)
            part = object_.with_suffix(".part")
            run(CXX, *FLAGS, *flags, "-I", HERE, "-I", HERE / "driver", "-c", source,
                "-o", part)
            part.rename(object_)
        return object_

    def clear(self):
        for old in self.folder.iterdir():
            if old.with_suffix(".o") not in self.used:
                old.unlink()


def link(out, name, objects, *flags):
    part = out / f"{name}.part"
    run(CXX, "-shared", *objects, "-o", part, f"-Wl,-soname,{name}", "-Wl,-z,defs", *flags)
    part.rename(out / name)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--candle-kernels", type=Path, help="the crate's folder")
    arguments.add_argument("--only", nargs="*", help="of Candle's files, these alone")
    arguments.add_argument("--without", nargs="*", default=[], help="our files to leave out")
    given = arguments.parse_args()
    out = given.out.resolve()
    stubs = out / "stubs"
    candle = (given.candle_kernels or candle_kernels()) / "src"
    chosen = CANDLE if given.only is None else given.only
    sources = [(path, False) for path in sorted(OURS.glob("*.cu"))
               if path.name not in given.without]
    sources += [(candle / f"{name}.cu", True) for name in chosen]
    objects = Objects(out / "objects")
    kernels = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        made = []
        # The longest first.
        for path, is_candle in sorted(sources, key=lambda source: -source[0].stat().st_size):
            text, names = translated(path, stubs, early_exit=is_candle)
            kernels += len(names)
            prefix = "candle_" if is_candle else ""
            made.append(pool.submit(objects.compile, prefix + path.stem, text, ["-w"]))
        parts = [HERE / "emulate.cpp"]
        parts += [HERE / "driver" / f"{name}.cpp"
                  for name in ("device", "graphs", "memory", "modules", "streams")]
        for path in parts:
            made.append(pool.submit(objects.compile, path.stem, include(path)))
        beside = {name: [pool.submit(objects.compile, Path(file).stem,
                                     include(HERE / "driver" / file), ["-O3"])
                         for file in files] for name, files in LIBRARIES.items()}
        link(out, "libcuda.so.1", [part.result() for part in made], "-ldl")
        for name, files in beside.items():
            link(out, name, [part.result() for part in files], out / "libcuda.so.1",
                 "-Wl,-rpath,$ORIGIN")
    objects.clear()
    print(f"{kernels} kernels in {out}/libcuda.so.1")


def include(path):
    """A file of the emulator, with the text of others that it alone sees in the hash."""
    others = [*HERE.glob("emulated/*.inl"), *HERE.glob("driver/*.h")]
    known = hashlib.sha256("".join(other.read_text() for other in sorted(others)).encode())
    return f'// {known.hexdigest()}\n#line 1 "{path}"\n{path.read_text()}'


if __name__ == "__main__":
    main()
