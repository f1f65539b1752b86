#!/usr/bin/env python3
"""Others' tools check what the demo left and the vectors: run.py [FOLDER]. Each must accept what is good and reject what was tampered with.

Whatever can be had is installed into target/interop/, versions pinned; what cannot is skipped aloud, and is a failure under REQUIRE_INTEROP=1.
"""
import json, os, pathlib, shutil, subprocess, sys

from compilers import COMPILERS

here = pathlib.Path(__file__).resolve().parent
root = here.parent
tools = root / "target/interop"
folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else root / "demo-out").resolve()
vectors = root / "fixtures/vectors"
PYTHON = ["securesystemslib[crypto]==1.4.0", "in-toto-attestation==0.9.3", "jsonschema==4.25.1"]
AICS = "aics-tlog==0.2.1"
SIGSTORE = "@sigstore/core@3.1.0"
# Writers of files: what they are called, their packages, and the parts of interop/files that they write.
ARROW = "pyarrow==26.0.1"
WRITERS = [
    ("pandas 3, polars, duckdb, pyarrow, fastparquet, workbooks",
     [ARROW, "pandas==3.1.1", "polars==2.1.0", "duckdb==2.0.1", "fastparquet==2026.9.0", "openpyxl==3.1.5", "XlsxWriter==3.3.1", "zstandard==0.25.0"],
     ["pyarrow", "pandas", "polars", "duckdb", "fastparquet", "excel", "damage"]),
    ("pandas 2", [ARROW, "pandas==2.3.3", "zstandard==0.25.0"], ["pandas"]),
    ("pyspark", [ARROW, "pyspark==4.3.0"], ["spark"]),
    ("R", [ARROW], ["rbase"]),
    ("R's arrow", [ARROW], ["r"]),
]
MODELS = [ARROW, "scikit-learn==1.9.1", "skl2onnx==1.20.0", "onnxmltools==1.16.0", "lightgbm==4.7.0", "xgboost==3.2.0", "catboost==1.2.10", "onnx==1.23.2", "pandas==3.1.1"]
JAVA = "openjdk-17-jre-headless"
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


def told(name, label, done):
    """Prints the last line of what a part said; all of it where the part failed, which counts against the run as `label`."""
    print(f"{name}: {done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ''}")
    if done.returncode != 0:
        failed.append(label)
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


def venv(name, packages, python=sys.executable):
    """A Python with these packages, or why there is none."""
    home = tools / name
    if not (home / "bin/python").exists() and sh(python, "-m", "venv", home).returncode != 0:
        return None, "no venv can be made (Debian: python3-venv)"
    if sh(home / "bin/pip", "install", "--quiet", *packages).returncode != 0:
        return None, "not to be had from a Python package index"
    return home / "bin/python", None


def built():
    return next((b for b in (root / "target/release/tidegate", root / "target/debug/tidegate") if b.exists()), None)


def files():
    """Files as others' tools write them, read column by column."""
    binary, python = built(), newer_python()
    for what, packages, parts in WRITERS:
        label, name, env = f"files of {what}", f"files-{parts[0]}-{len(parts)}", os.environ
        if binary is None or python is None:
            skip(label, "tidegate is not built" if binary is None else "needs Python 3.12")
            continue
        if "spark" in parts:
            env = java()
            if env is None:
                skip(label, f"no Java, and Debian's {JAVA} is not to be had")
                continue
        if "rbase" in parts and not shutil.which("Rscript"):
            skip(label, "no R (Debian: r-base-core)")
            continue
        if "r" in parts and (not shutil.which("Rscript") or sh("Rscript", "-e", "library(arrow)").returncode != 0):
            skip(label, "R has no package arrow here, and Debian has none")
            continue
        run, why = venv(name, packages, python)
        if run is None:
            skip(label, why)
            continue
        done = sh(run, here / "files", binary, tools / f"corpus-{name}", *parts, env=env)
        told("files", label, done)


def java():
    """An environment in which there is Java: what this machine has, or Debian's package, taken apart."""
    if shutil.which("java"):
        return os.environ
    home = tools / "java"
    found = home / "usr/lib/jvm/java-17-openjdk-amd64"
    if not found.is_dir():
        (home / "deb").mkdir(parents=True, exist_ok=True)
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb") or sh("apt-get", "download", JAVA, cwd=home / "deb").returncode != 0:
            return None
        for package in (home / "deb").glob("*.deb"):
            sh("dpkg-deb", "-x", package, home)
    # Debian's links lead to where the package would be installed.
    for link in [one for one in found.rglob("*") if one.is_symlink() and not one.exists()]:
        target = home / os.readlink(link).lstrip("/")
        if target.exists():
            link.unlink()
            link.symlink_to(target)
    return os.environ | {"JAVA_HOME": str(found), "PATH": f"{found}/bin:{os.environ['PATH']}"}


def differential():
    """Generated queries over generated tables, of which others have written the files anew, with DuckDB's answers beside ours."""
    if not shutil.which("cargo"):
        return skip("DuckDB's answers beside ours", "no cargo, which runs the queries")
    python = newer_python()
    run, why = venv("differential", [ARROW, "duckdb==2.0.1", "polars==2.1.0"], python) if python else (None, "needs Python 3.12")
    if run is None:
        return skip("DuckDB's answers beside ours", why)
    done = sh(run, here / "differential.py", root, tools / "differential")
    told("differential", "DuckDB's answers beside ours", done)


def models():
    """Models that today's packages export: their verdicts, and what they say of rows beside what their packages do."""
    binary, python = built(), newer_python()
    run, why = venv("models", MODELS, python) if python and binary else (None, "needs Python 3.12 and a built tidegate")
    if run is None:
        return skip("models of scikit-learn, LightGBM, XGBoost and CatBoost", why)
    done = sh(run, here / "models.py", binary, tools / "trained")
    told("models", "models of others' packages", done)


PROGRAM = """dataset = "%s"
rho = 1000
[wasm]
module = "%s"
select = "SELECT mdvis FROM dataset"
split = "unit"
outputs = [{ name = "apart", lo = 0, hi = 50, reducer = "sum", default = 0 }, { name = "most", lo = 0, hi = 8, reducer = "sum", default = 0 }]
"""
PROGRAM_POLICY = """unit = { column = "zper", max_units = 6000, max_rows = 5, max_groups = 1 }
budget = { delta = 1e-9, rho = 1e6, per_buyer_rho = 1e6 }
jobs = { kinds = ["wasm"], min_units = 10, fuel = 2000000000, memory_mib = 16, slot = "100000s", tick = "1s" }
access = { compute = "granted", replicate = "nobody" }
columns = { mdvis = { lo = 0, hi = 50 } }
"""


def programs():
    """A program as compilers for WASI's first preview leave it, over mock rows, beside the one of fixtures/guests, whose numbers a test of the sandbox holds against its own."""
    binary, home = built(), tools / "compilers-programs"
    home.mkdir(parents=True, exist_ok=True)
    if binary is None:
        return skip("programs for WASI's first preview", "tidegate is not built")
    (home / "policy.toml").write_text(PROGRAM_POLICY)

    def rehearsed(module):
        (home / "job.toml").write_text(PROGRAM % ("0" * 64, module))
        done = sh(binary, "rehearse", home / "job.toml", "--policy", home / "policy.toml", "--mock", root / "fixtures/data/rand_hie_mock.parquet", "--json")
        if done.returncode != 0:
            return None, done.stdout + done.stderr
        told = json.loads(done.stdout)
        return [cell["value"] for cell in told["result"]["rows"][0]["cells"]], "\n".join(sorted(set(told["lines"])))

    expected, lines = rehearsed(root / "fixtures/guests/spread.preview1.wasm")
    for name, compiler in COMPILERS.items():
        label = f"programs: {name}"
        module, done = compiler(root, home, venv)
        if module is None:
            skip(label, done)
            continue
        found, said = rehearsed(module) if done.returncode == 0 else (None, done.stdout + done.stderr)
        # Seven deviations of the noise on a difference: 11 and 1.8 at this price.
        if found is None or expected is None or abs(found[0] - expected[0]) > 16 or abs(found[1] - expected[1]) > 2.6 or said != lines:
            failed.append(label)
            print(f"{label}: {found} for {expected}\n{said[:4000]}")
        else:
            print(f"{label}: {module.stat().st_size} bytes, and says what fixtures/guests/spread.preview1.wasm does")


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
for part in [globals()[name] for name in sys.argv[2:]] or (python, aics, node, go, age, files, differential, programs, models):
    part()
if os.environ.get("REQUIRE_INTEROP") and skipped:
    failed += [f"{name} was skipped" for name in skipped]
print(f"failed: {', '.join(failed)}" if failed else "others' tools accept what is good, and nothing that was tampered with")
sys.exit(1 if failed else 0)
