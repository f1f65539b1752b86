//! Parties as real processes of the real binary, each with a folder of its own.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

pub(crate) const POLICY: &str = r#"
[unit]
column = "person"
max_units = 100
max_rows = 2
max_groups = 2
[budget]
delta = 1e-6
rho = 1.0
per_buyer_rho = 0.9
[jobs]
kinds = ["sql", "wasm", "onnx"]
min_units = 5
fuel = 100000000
memory_mib = 16
slot = "8s"
tick = "100ms"
dangerous_no_tick_for = ["BUYER"]
[access]
compute = "granted"
replicate = "nobody"
[columns]
spend = { lo = 0, hi = 100 }
city = {}
"#;

pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) struct Serving {
    child: Child,
    pub(crate) address: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serving {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn wait(mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }
}

pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

impl World {
    /// An owner with a published dataset, a buyer with a grant.
    pub(crate) fn new() -> Self {
        Self::under("")
    }

    /// With a section more in the owner's policy.
    pub(crate) fn under(section: &str) -> Self {
        Self::prepared(|_| section.to_owned())
    }

    /// With a section more that is written when the folder is there.
    pub(crate) fn prepared(section: impl FnOnce(&Self) -> String) -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        world.ok("owner", &["init"]);
        let section = section(&world);
        let buyer = world.ok("buyer", &["init"]).trim().to_owned();
        let mut csv = String::from("person,spend,city\n");
        for person in 0..60 {
            csv.push_str(&format!("{person},{},north\n{person},{},south\n", person % 50, person % 7));
        }
        std::fs::write(world.path("data.csv"), csv).unwrap();
        std::fs::write(
            world.path("policy.toml"),
            POLICY.replace("BUYER", &buyer).replace("[access]", &format!("{section}\n[access]")),
        )
        .unwrap();
        world.publish("data.csv", &["--name", "towns"]);
        world.ok("owner", &["grant", "towns", "--to", &buyer, "--rho", "1", "--out", &world.text("grant")]);
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn publish(&self, file: &str, more: &[&str]) -> String {
        let (file, policy) = (self.text(file), self.text("policy.toml"));
        let mut args = vec!["publish", &file, "--unit", "person", "--policy", &policy, "--json"];
        args.extend(more);
        self.ok("owner", &args)
    }

    pub(crate) fn command(&self, who: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.arg("--home").arg(self.path(who)).env_remove("TIDEGATE_FAULT").env_remove("COLUMNS");
        command
    }

    pub(crate) fn try_run(&self, who: &str, args: &[&str]) -> Output {
        let output = self.command(who).args(args).output().unwrap();
        crate::json::fits_schema(args, &output.stdout);
        output
    }

    pub(crate) fn ok(&self, who: &str, args: &[&str]) -> String {
        let output = self.try_run(who, args);
        assert!(output.status.success(), "{args:?}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs what must fail; returns what it said.
    pub(crate) fn fails(&self, who: &str, args: &[&str]) -> String {
        let output = self.try_run(who, args);
        assert!(!output.status.success(), "{args:?} succeeded: {}", text(&output));
        text(&output)
    }

    pub(crate) fn serve(&self, fault: Option<&str>) -> Serving {
        self.serve_with(&fault.map(|fault| ("TIDEGATE_FAULT", fault)).into_iter().collect::<Vec<_>>())
    }

    pub(crate) fn serve_with(&self, environment: &[(&str, &str)]) -> Serving {
        self.start("owner", &["serve"], environment, &[])
    }

    pub(crate) fn serve_as(&self, args: &[&str]) -> Serving {
        self.serve_by("owner", args)
    }

    pub(crate) fn serve_by(&self, who: &str, args: &[&str]) -> Serving {
        self.start(who, &["serve"], &[], args)
    }

    pub(crate) fn mirror(&self, who: &str, args: &[&str]) -> Serving {
        self.start(who, &["mirror", "serve"], &[], args)
    }

    /// Of a copy of the program.
    pub(crate) fn serve_from(&self, program: &Path) -> Serving {
        let mut command = Command::new(program);
        command.arg("--home").arg(self.path("owner")).env_remove("TIDEGATE_FAULT");
        self.started("owner", command, &["serve"], &[], &[])
    }

    fn start(&self, who: &str, what: &[&str], environment: &[(&str, &str)], args: &[&str]) -> Serving {
        self.started(who, self.command(who), what, environment, args)
    }

    fn started(&self, who: &str, mut command: Command, what: &[&str], environment: &[(&str, &str)], args: &[&str]) -> Serving {
        let file = self.path(&if who == "owner" { "address".to_owned() } else { format!("address of {who}") });
        let _ = std::fs::remove_file(&file);
        command.args(what).arg("--address-file").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        command.args(args).envs(environment.iter().copied());
        let mut child = command.spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Ok(address) = std::fs::read_to_string(&file)
                && !address.is_empty()
            {
                return Serving { child, address };
            }
            assert!(child.try_wait().unwrap().is_none(), "the owner's node ended at the start");
            assert!(Instant::now() < deadline, "the owner's node did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn job(&self, name: &str, body: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, format!("dataset = \"towns\"\n{body}")).unwrap();
        path.display().to_string()
    }

    pub(crate) fn count_job(&self) -> String {
        self.job("count.toml", "rho = 0.1\n[sql]\nquery = \"SELECT COUNT(*) AS n, SUM(spend) AS s FROM dataset\"\n")
    }

    /// Words that ask a job, whether or not it was asked before.
    pub(crate) fn run_args<'a>(&'a self, job: &'a str, address: &'a str, grant: &'a str) -> Vec<&'a str> {
        vec!["run", job, "--to", address, "--grant", grant, "--json", "--again"]
    }

    pub(crate) fn audit(&self, address: &str) -> serde_json::Value {
        serde_json::from_str(&self.ok("buyer", &["audit", "--peer", address, "--json"])).unwrap()
    }

    pub(crate) fn spent(&self) -> u64 {
        self.spent_on("towns")
    }

    pub(crate) fn spent_on(&self, dataset: &str) -> u64 {
        let budgets = self.ok("owner", &["budget", "--json"]);
        let mut budgets = budgets.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        budgets.find(|b| b["dataset"] == dataset).unwrap()["spent"]["rho_micro"].as_u64().unwrap()
    }
}

/// Holds that nobody but its user may read, write or look into anything of a party's folder. How many things there are.
pub(crate) fn is_shut(home: &Path) -> usize {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = home.symlink_metadata().unwrap();
    let mode = metadata.permissions().mode() & 0o777;
    assert!(!metadata.is_symlink(), "{} is a link", home.display());
    assert_eq!(mode & 0o077, 0, "{} is open to others: {mode:o}", home.display());
    if !metadata.is_dir() {
        return 1;
    }
    assert_eq!(mode, 0o700, "{}", home.display());
    1 + std::fs::read_dir(home).unwrap().map(|entry| is_shut(&entry.unwrap().path())).sum::<usize>()
}

pub(crate) fn exists(path: &Path) -> bool {
    path.exists()
}

/// What a process has had of the processors, in ticks of the kernel's clock (proc_pid_stat(5): utime).
pub(crate) fn processor_time(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|s| s.split_whitespace().nth(11)?.parse().ok()).unwrap_or_default()
}

/// The child processes of `parent`.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|e| e.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(')').next().and_then(|s| s.split_whitespace().nth(1)?.parse::<u32>().ok()) == Some(parent)
        })
        .collect()
}

/// Whether ONNX Runtime is here; where it is required it must be.
pub(crate) fn runtime_is_here() -> bool {
    let here = tidegate_gpu_runner::library::find().is_some();
    if !here {
        assert!(std::env::var_os("REQUIRE_ORT").is_none(), "ONNX Runtime is required and not here");
        eprintln!("SKIPPED: no ONNX Runtime. {}", tidegate_gpu_runner::library::HOW_TO);
    }
    here
}

/// Waits until something is so.
pub(crate) fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(100));
    }
}
