#!/usr/bin/env python3
"""Others' tools check what the demo left and the vectors: run.py [FOLDER]. Each must accept what is good and reject what was tampered with.

Whatever can be had is installed into target/interop/, versions pinned; what cannot is skipped aloud, and is a failure under REQUIRE_INTEROP=1.
"""
import os, pathlib, shutil, subprocess, sys

here = pathlib.Path(__file__).resolve().parent
root = here.parent
tools = root / "target/interop"
folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else root / "demo-out").resolve()
vectors = root / "fixtures/vectors"
PYTHON = ["securesystemslib[crypto]==1.4.0", "in-toto-attestation==0.9.3", "jsonschema==4.25.1"]
AICS = "aics-tlog==0.2.1"
SIGSTORE = "@sigstore/core@3.1.0"
FILES = ["pandas==3.1.1", "polars==2.1.0", "duckdb==2.0.1", "pyarrow==26.0.1", "zstandard==0.25.0"]
DEBIAN = ["golang-1.19-go", "golang-1.19-src", "golang-golang-x-mod-dev"]
failed, skipped = [], []


def sh(*args, **more):
    return subprocess.run([str(a) for a in args], capture_output=True, text=True, **more)


def check(name, *args, **more):
    for target in dict.fromkeys((folder, vectors)):
        done = sh(*args, target, **more)
        print(f"{name}: {target.name}: {done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ''}")
        if done.returncode != 0:
            failed.append(f"{name} on {target.name}")
            print(done.stdout + done.stderr)


def skip(name, why):
    skipped.append(name)
    print(f"SKIPPED: {name}: {why}")


def python():
    venv = tools / "python"
    if not (venv / "bin/python").exists() and sh(sys.executable, "-m", "venv", venv).returncode != 0:
        return skip("securesystemslib, in-toto-attestation", "no venv can be made (Debian: python3-venv)")
    if sh(venv / "bin/pip", "install", "--quiet", *PYTHON).returncode != 0:
        return skip("securesystemslib, in-toto-attestation", "not to be had from a Python package index")
    check("securesystemslib (DSSE)", venv / "bin/python", here / "dsse.py")
    check("in-toto-attestation (statement), jsonschema", venv / "bin/python", here / "statement.py")


def files():
    """Files as pandas, Polars, DuckDB and pyarrow write them, read column by column."""
    binary = next((b for b in (root / "target/release/tidegate", root / "target/debug/tidegate") if b.exists()), None)
    if binary is None:
        return skip("files of pandas, polars, duckdb, pyarrow", "tidegate is not built")
    python, venv = newer_python() or sys.executable, tools / "files"
    if not (venv / "bin/python").exists() and sh(python, "-m", "venv", venv).returncode != 0:
        return skip("files of pandas, polars, duckdb, pyarrow", "no venv can be made (Debian: python3-venv)")
    if sh(venv / "bin/pip", "install", "--quiet", *FILES).returncode != 0:
        return skip("files of pandas, polars, duckdb, pyarrow", "not to be had from a Python package index")
    done = sh(venv / "bin/python", here / "files.py", binary, tools / "corpus")
    print(f"files: {done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ''}")
    if done.returncode != 0:
        failed.append("files of others")
        print(done.stdout + done.stderr)


def newer_python():
    """A Python of 3.12 or more: this one, one on the PATH, or one of pyenv's."""
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv"))
    for one in [sys.executable, *(f"python3.{minor}" for minor in range(19, 11, -1)), *sorted(pyenv.glob("versions/*/bin/python3"))]:
        if shutil.which(str(one)) and sh(one, "-c", "import sys; sys.exit(sys.version_info < (3, 12))").returncode == 0:
            return one
    return None


def aics():
    python, venv = newer_python(), tools / "newer-python"
    if python is None:
        return skip("aics-tlog", f"needs Python 3.12, this is {sys.version_info.major}.{sys.version_info.minor}")
    if not (venv / "bin/python").exists() and sh(python, "-m", "venv", venv).returncode != 0:
        return skip("aics-tlog", "no venv can be made (Debian: python3-venv)")
    if sh(venv / "bin/pip", "install", "--quiet", AICS).returncode != 0:
        return skip("aics-tlog", "not to be had from a Python package index")
    check("aics-tlog (log, cosignatures, proofs)", venv / "bin/python", here / "aics.py")


def node():
    if not shutil.which("npm") or not shutil.which("node"):
        return skip("@sigstore/core", "no node and npm")
    home = tools / "node"
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "node_modules/@sigstore/core").is_dir() and sh("npm", "install", "--silent", "--prefix", home, SIGSTORE).returncode != 0:
        return skip("@sigstore/core", "not to be had from an npm registry")
    shutil.copy(here / "dsse.mjs", home)
    check("@sigstore/core (DSSE)", "node", home / "dsse.mjs")


def go():
    home = tools / "go"
    (home / "deb").mkdir(parents=True, exist_ok=True)
    if not (home / "usr/lib/go-1.19").is_dir():
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            return skip("golang.org/x/mod/sumdb", "no Debian packages here")
        if sh("apt-get", "download", *DEBIAN, cwd=home / "deb").returncode != 0:
            return skip("golang.org/x/mod/sumdb", "Debian packages not to be had")
        for package in (home / "deb").glob("*.deb"):
            sh("dpkg-deb", "-x", package, home)
    goroot = home / "usr/lib/go-1.19"
    # Debian's links lead to where the packages would be installed.
    for link in goroot.iterdir():
        target = home / "usr/share/go-1.19" / link.name
        if link.is_symlink() and target.exists():
            link.unlink()
            link.symlink_to(target)
    env = os.environ | {"GOROOT": str(goroot), "GOPATH": str(home / "usr/share/gocode"), "GO111MODULE": "off", "GOCACHE": str(home / "cache"),
                        "GOFLAGS": "", "GOTOOLCHAIN": "local"}
    built = sh(goroot / "bin/go", "build", "-o", home / "verify", here / "log/main.go", env=env)
    if built.returncode != 0:
        failed.append("building the Go verifier")
        return print(built.stderr)
    check("golang.org/x/mod/sumdb/{note,tlog} (log, proofs)", home / "verify")


def age():
    home, sealed = tools / "age", root / "fixtures/sealed"
    (home / "deb").mkdir(parents=True, exist_ok=True)
    tool = shutil.which("age") or home / "usr/bin/age"
    if not pathlib.Path(tool).exists():
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            return skip("age", "no Debian packages here")
        if sh("apt-get", "download", "age", cwd=home / "deb").returncode != 0:
            return skip("age", "Debian package not to be had")
        for package in (home / "deb").glob("*.deb"):
            sh("dpkg-deb", "-x", package, home)
    good = (sealed / "rows.csv.age").read_bytes()

    def opens(data):
        done = subprocess.run([str(tool), "--decrypt", "-i", str(sealed / "keys")], input=data, capture_output=True)
        return done.stdout if done.returncode == 0 else None

    rows = "person,spend\n" + "".join(f"{person},{person % 50}\n" for person in range(10_000))
    flipped = [good[:at] + bytes([good[at] ^ 1]) + good[at + 1:] for at in (30, 120, len(good) // 2, len(good) - 1)]
    bad = [*flipped, good[:-1], good[:len(good) // 2], good + b"x"]
    # Zeros come after the file, so that its size is no exact one.
    opened = opens(good) or b""
    if opened[:len(rows)] != rows.encode() or opened[len(rows):].strip(b"\0") or len(opened) == len(rows) or any(opens(data) is not None for data in bad):
        failed.append("age on fixtures/sealed")
    print(f"age (encrypted files): opened one, refused {len(bad)} that were changed" if not failed else "age (encrypted files): see below")


if not (folder / "log/checkpoint").exists():
    sys.exit(f"{folder} has no log: run `make demo` first")
for part in (python, aics, node, go, age, files):
    part()
if os.environ.get("REQUIRE_INTEROP") and skipped:
    failed += [f"{name} was skipped" for name in skipped]
print(f"failed: {', '.join(failed)}" if failed else "others' tools accept what is good, and nothing that was tampered with")
sys.exit(1 if failed else 0)
