//! The examples run together as processes of their own: a witness, an owner and a buyer, until the buyer has a verified result.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use tidegate::{
    Home,
    auditor::note::{Note, Verifier},
};

/// Builds the command of an example, which cargo builds beside this test's program.
fn example(name: &str) -> Command {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let program = deps.parent().unwrap().join("examples").join(name);
    assert!(program.exists(), "{} is not there: `cargo build -p tidegate --examples` builds it", program.display());
    Command::new(program)
}

/// A process that is killed unless it was ended.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Running {
    /// Presses Ctrl-C, and waits.
    fn interrupted(mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        self.0.wait().unwrap()
    }
}

/// Waits until a running example has written a file.
fn written(path: &Path, by: &mut Running) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if !text.is_empty() => return text,
            _ => {}
        }
        assert!(by.0.try_wait().unwrap().is_none(), "the example ended before it wrote {}", path.display());
        assert!(Instant::now() < deadline, "{} did not come", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_buyer_gets_a_witnessed_result_from_an_owner_in_another_program() {
    let folder = tempfile::tempdir().unwrap();
    let home = |who: &str| folder.path().join(who);
    let key = |who: &str| Home::at(home(who)).init().unwrap().id();
    let (owner, buyer) = (key("owner"), key("buyer"));
    let mut witness =
        Running(example("witness").arg(home("witness")).arg(owner.to_string()).stdout(Stdio::piped()).spawn().unwrap());
    let mut place = String::new();
    BufReader::new(witness.0.stdout.take().unwrap()).read_line(&mut place).unwrap();
    let (vkey, _) = place.split_once('@').unwrap();
    let policy = format!(
        r#"
        unit = {{ column = "person", max_units = 200, max_rows = 3, max_groups = 1 }}
        budget = {{ delta = 1e-6, rho = 1.0, per_buyer_rho = 0.9 }}
        jobs = {{ kinds = ["sql"], min_units = 5, fuel = 1000000, memory_mib = 16, slot = "4s", tick = "1s" }}
        access = {{ compute = "granted", replicate = "nobody" }}
        columns = {{ icd = {{}} }}
        witnesses = {{ keys = ["{vkey}"], quorum = 1 }}
    "#
    );
    let path = folder.path().join("policy.toml");
    std::fs::write(&path, policy).unwrap();
    let rows = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/cases/distinct-people/a.csv"));
    let mut serving = example("embed_owner");
    serving.arg(home("owner")).arg(&rows).arg(&path).arg(buyer.to_string()).arg(folder.path()).arg(place.trim());
    let mut serving = Running(serving.spawn().unwrap());
    let address = written(&folder.path().join("address"), &mut serving);
    let ask = |rho: &str| {
        let mut asking = example("submit_query");
        asking.arg(home("buyer")).arg(&address).arg(folder.path().join("grant"));
        asking.args(["rows", "SELECT COUNT(DISTINCT person) AS people FROM dataset", rho]).output().unwrap()
    };
    let answered = ask("0.5");
    let said = String::from_utf8(answered.stdout).unwrap();
    assert!(answered.status.success(), "{said}{}", String::from_utf8_lossy(&answered.stderr));
    let line = said.lines().find(|line| line.starts_with("people = ")).unwrap();
    let numbers: Vec<f64> = line.split([' ', '[', ']', ',']).filter_map(|word| word.parse().ok()).collect();
    let [value, low, high] = numbers.as_slice() else { panic!("{line}") };
    // One hundred people; scale 1 at this price, so 30 is thirty deviations away.
    assert!((value - 100.0).abs() < 30.0 && low < value && value < high, "{line}");
    assert!(said.contains("verified"), "{said}");
    // The witness cosigned what the buyer verified.
    let checkpoint = std::fs::read_to_string(home("owner").join("log/checkpoint")).unwrap();
    let name = Verifier::parse(vkey).unwrap().name;
    assert!(Note::parse(&checkpoint).unwrap().signatures.iter().any(|line| line.name == name), "{checkpoint}");
    // Over the buyer's budget: refused, and by the owner.
    let refused = ask("0.8");
    assert!(!refused.status.success(), "{}", String::from_utf8_lossy(&refused.stdout));
    assert!(serving.interrupted().success() && witness.interrupted().success());
}
