#!/usr/bin/env python3
"""A large file from one process to another over loopback, to a file: `tidegate fetch`, beside the published sendme (iroh-blobs by its authors), nginx with curl (plain, and with TLS) and cp. In turn, medians.

Usage: copies.py PATH-TO-TIDEGATE [MILLIONS-OF-ROWS]; tidegate-bench lies beside it. What is not on this machine and not to be had is left out, and said so: sendme is built by cargo, nginx is Debian's.
"""
import os, pathlib, shutil, signal, statistics, subprocess, sys, tempfile, time

root = pathlib.Path(__file__).resolve().parent.parent
tools = root / ".tools"
binary = pathlib.Path(sys.argv[1]).resolve()
rows = int(sys.argv[2] if len(sys.argv) > 2 else 60) * 1_000_000
TURNS = 3
SENDME = "0.37.1"
POLICY = """
unit = { column = "person", max_units = 100000000, max_rows = 10, max_groups = 5 }
budget = { delta = 1e-9, rho = 100.0, per_buyer_rho = 100.0 }
jobs = { kinds = ["sql"], min_units = 10, fuel = 1000000, memory_mib = 16, slot = "600s", tick = "1s" }
access = { compute = "granted", replicate = "granted" }
columns = { region = {}, cell = {}, spend = { lo = 0, hi = 1000 } }
"""


def sendme():
    at = tools / "sendme/bin/sendme"
    if not at.exists():
        print(f"sendme {SENDME} is built", flush=True)
        built = subprocess.run(["cargo", "install", "--quiet", "--locked", "--no-default-features", "--root", tools / "sendme", "sendme", "--version", SENDME])
        if built.returncode:
            return None
    return at


def nginx():
    at = shutil.which("nginx") or tools / "nginx/usr/sbin/nginx"
    if not pathlib.Path(at).exists() and shutil.which("apt-get") and shutil.which("dpkg-deb"):
        (tools / "nginx").mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "nginx"], cwd=tools / "nginx", capture_output=True)
        for package in (tools / "nginx").glob("nginx_*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, tools / "nginx"])
    there = pathlib.Path(at).exists() and shutil.which("curl") and shutil.which("openssl")
    return at if there else None


with tempfile.TemporaryDirectory(dir=os.environ.get("TIDEGATE_BENCH_DIR")) as folder:
    home = pathlib.Path(folder)
    running = []

    def start(*args, **more):
        running.append(subprocess.Popen([str(a) for a in args], stderr=subprocess.DEVNULL, start_new_session=True, **{"stdout": subprocess.DEVNULL, **more}))
        return running[-1]

    def tidegate(who, *args):
        done = subprocess.run([binary, "--home", home / who, *map(str, args)], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{args}: {done.stderr}")
        return done.stdout.strip()

    peaks = {}

    def timed(*args, **more):
        begun = time.perf_counter()
        process = subprocess.Popen([str(a) for a in args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{args} failed")
        program = pathlib.Path(args[0]).name
        peaks[program] = max(peaks.get(program, 0), used.ru_maxrss / 1024)
        return time.perf_counter() - begun

    def peak(process):
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024

    data = home / "rows.parquet"
    subprocess.run([binary.with_name("tidegate-bench"), "generate", str(rows), data], check=True)
    mib = data.stat().st_size / 2**20
    tidegate("owner", "init")
    buyer = tidegate("buyer", "init")
    (home / "policy.toml").write_text(POLICY)
    tidegate("owner", "publish", data, "--name", "large", "--unit", "person", "--policy", home / "policy.toml")
    tidegate("owner", "grant", "large", "--to", buyer, "--action", "replicate", "--out", home / "grant")
    address = home / "address"
    node = start(binary, "--home", home / "owner", "serve", "--address-file", address)
    try:
        while not (address.exists() and address.read_text()):
            time.sleep(0.05)
        before = peak(node)
        got = home / "got"
        ways = {
            "tidegate fetch": lambda: timed(binary, "--home", home / "buyer", "fetch", "large", "--to", address.read_text(), "--grant", home / "grant", "--out", got),
            "cp": lambda: timed("cp", data, got / data.name),
        }
        if tool := sendme():
            sends = start(tool, "send", "--relay", "disabled", "--no-progress", data, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, cwd=home)
            ticket = next(line.split()[-1] for line in sends.stdout if line.startswith("sendme receive"))
            ways[f"sendme {SENDME}"] = lambda tool=tool: timed(tool, "receive", "--relay", "disabled", "--no-progress", ticket, cwd=got)
        if tool := nginx():
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                            "-keyout", home / "key.pem", "-out", home / "cert.pem"], check=True, capture_output=True)
            (home / "nginx.conf").write_text(f"""daemon off; worker_processes auto; pid {home}/nginx.pid; error_log /dev/null; user root;
events {{}}
http {{ access_log off; sendfile on; client_body_temp_path {home}/a; proxy_temp_path {home}/b; fastcgi_temp_path {home}/c; uwsgi_temp_path {home}/d; scgi_temp_path {home}/e;
server {{ listen 127.0.0.1:18080; listen 127.0.0.1:18443 ssl; ssl_certificate {home}/cert.pem; ssl_certificate_key {home}/key.pem; root {home}; }} }}
""")
            start(tool, "-c", home / "nginx.conf", "-p", home)
            time.sleep(1)
            for name, url in [("nginx and curl", "http://127.0.0.1:18080"), ("nginx and curl, TLS", "https://127.0.0.1:18443")]:
                ways[name] = lambda url=url: timed("curl", "--silent", "--fail", "--insecure", "--output", got / data.name, f"{url}/{data.name}")
        seconds = {name: [] for name in ways}
        for _ in range(TURNS):
            for name, way in ways.items():
                got.mkdir()
                seconds[name].append(way())
                came = got / data.name
                assert came.stat().st_size == data.stat().st_size, name
                shutil.rmtree(got)
        took = {name: statistics.median(all) for name, all in seconds.items()}
        ours = took["tidegate fetch"]
        print(f"copies: {mib:.0f} MiB from process to process, loopback, to a file, medians of {TURNS}:")
        for name, time_taken in took.items():
            print(f"  {name}: {mib / time_taken:.0f} MiB/s" + ("" if time_taken == ours else f"; tidegate has {time_taken / ours:.2f} × its rate"))
        print(f"  memory at the peak: tidegate fetch {peaks['tidegate']:.0f} MiB, the node that sends {peak(node):.0f}, {before:.0f} before")
        for name in {f"sendme {SENDME}", "nginx and curl"} - set(ways):
            print(f"  {name}: not to be had here")
    finally:
        for process in running:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
