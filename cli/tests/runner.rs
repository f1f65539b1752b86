//! Whatever befalls a runner harms neither node nor buyer: noise over the default comes back in its time, and the next job runs.

use crate::common;
use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::common::{Serving, World, children, processor_time, runtime_is_here};
use tidegate_fixtures::models::{
    Attr::{Int, Ints},
    Graph,
    elem::F32,
};

/// A model that takes its time: so many layers of 64 × 1024 by 1024 × 1024 for each row.
fn slow(layers: usize) -> Graph {
    let graph = Graph::new().input("x", F32, "rows,1").ints("to", &[2], &[1, 64 * 1024]).ints("shape", &[3], &[0, 64, 1024]);
    let graph = graph.node("Expand", &["x", "to"], &["e"], &[]).node("Reshape", &["e", "shape"], &["h0"], &[]);
    let graph = graph.weights("w", &[1024, 1024], 0.1);
    let layer = |graph: Graph, i: usize| {
        let (from, product, to) = (format!("h{i}"), format!("p{i}"), format!("h{}", i + 1));
        graph.node("MatMul", &[&from, "w"], &[&product], &[]).node("Tanh", &[&product], &[&to], &[])
    };
    let graph = (0..layers).fold(graph, layer).ints("all", &[2], &[1, 2]);
    graph.node("ReduceMean", &[&format!("h{layers}"), "all"], &["score"], &[("keepdims", Int(0))]).output("score", F32)
}

struct Slow {
    world: World,
    node: Serving,
    job: String,
    quick: String,
    grant: String,
}

impl Slow {
    fn new() -> Self {
        let world = World::under("[models]\ngflops = 1000");
        let grant = world.text("grant");
        let job = |name: &str, layers: usize| {
            std::fs::write(world.path(&format!("{name}.onnx")), slow(layers).bytes()).unwrap();
            let outputs = "outputs = [{ name = \"score\", lo = 0, hi = 1, reducer = \"sum\", default = 0 }]";
            let select = "select = \"SELECT spend FROM dataset\"\noutput = \"score\"\nreduce = \"max\"";
            world.job(&format!("{name}.toml"), &format!("rho = 0.05\n[onnx]\nmodel = \"{name}.onnx\"\n{select}\n{outputs}\n"))
        };
        let (job, quick) = (job("slow", 24), job("quick", 1));
        let node = world.serve(None);
        Self { node, job, quick, grant, world }
    }

    fn start(&self) -> Child {
        let args = self.world.run_args(&self.job, &self.node.address, &self.grant);
        self.world.command("buyer").args(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The runner that has rows in hand: it alone keeps a processor busy for long.
    fn busy_runner(&self, buyer: &mut Child) -> u32 {
        let start = Instant::now();
        while buyer.try_wait().unwrap().is_none() && start.elapsed() < Duration::from_secs(60) {
            for pid in children(self.node.pid()) {
                let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                if line.split('\0').nth(1) == Some("tidegate-runner") && processor_time(pid) > 60 {
                    return pid;
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("no runner was seen at work: the test proves nothing");
    }

    /// The buyer has a result of one row, and another job runs.
    fn all_is_well(&self, buyer: Child) {
        let output = buyer.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", common::text(&output));
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(value["result"]["rows"].as_array().unwrap().len(), 1);
        self.world.ok("buyer", &self.world.run_args(&self.quick, &self.node.address, &self.grant));
    }
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

#[test]
fn a_killed_runner_is_not_seen_by_the_buyer() {
    if !runtime_is_here() {
        return;
    }
    let slow = Slow::new();
    let mut buyer = slow.start();
    signal(slow.busy_runner(&mut buyer), "-KILL");
    slow.all_is_well(buyer);
}

/// One that hangs is ended with the slot.
#[test]
fn a_runner_that_hangs_is_ended_with_the_slot() {
    if !runtime_is_here() {
        return;
    }
    let slow = Slow::new();
    let mut buyer = slow.start();
    let pid = slow.busy_runner(&mut buyer);
    signal(pid, "-STOP");
    slow.all_is_well(buyer);
    assert!(!common::exists(format!("/proc/{pid}").as_ref()), "the runner is still there");
}

/// One that gets no memory any more fails its runs, or dies.
#[test]
fn a_runner_without_memory_is_not_seen_by_the_buyer() {
    if !runtime_is_here() {
        return;
    }
    let slow = Slow::new();
    let mut buyer = slow.start();
    let pid = slow.busy_runner(&mut buyer);
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    let none = rustix::process::Rlimit { current: Some(1 << 20), maximum: Some(1 << 20) };
    rustix::process::prlimit(Some(pid), rustix::process::Resource::Data, none).unwrap();
    slow.all_is_well(buyer);
}

/// What is understood here, and the runtime has no kernel for.
#[test]
fn a_model_without_a_kernel_is_refused_uncharged() {
    if !runtime_is_here() {
        return;
    }
    let world = World::new();
    // To a power of type uint32.
    let graph = Graph::new().input("x", F32, "rows,1").node("Cast", &["x"], &["u"], &[("to", Int(12))]);
    let graph = graph.node("Pow", &["x", "u"], &["score"], &[]).output("score", F32);
    std::fs::write(world.path("power.onnx"), graph.bytes()).unwrap();
    let outputs = "outputs = [{ name = \"score\", lo = 0, hi = 1, reducer = \"sum\", default = 0 }]";
    let select = "select = \"SELECT spend FROM dataset\"\noutput = \"score\"\nreduce = \"max\"";
    let body = format!("rho = 0.1\n[onnx]\nmodel = \"power.onnx\"\n{select}\n{outputs}\n");
    let (job, grant, node) = (world.job("power.toml", &body), world.text("grant"), world.serve(None));
    let said = world.fails("buyer", &world.run_args(&job, &node.address, &grant));
    assert!(said.contains("does not load the model") && said.contains("Pow"), "{said}");
    assert_eq!(world.spent(), 0);
}

/// The runtime's own optimizer died of this graph when it was found; of another that it does not load it would be the same: the buyer hears it before
/// anything is charged, and the node goes on.
#[test]
fn a_model_that_the_runtime_cannot_load_is_refused_uncharged() {
    if !runtime_is_here() {
        return;
    }
    let world = World::new();
    let graph =
        Graph::new().opset(20).input("x", F32, "rows,3,2,2").node("Transpose", &["x"], &["a"], &[("perm", Ints(&[1, 0, 3, 2]))]);
    let graph = graph.node("ArgMax", &["a"], &["b"], &[("axis", Int(2)), ("keepdims", Int(0))]).node(
        "Cast",
        &["b"],
        &["c"],
        &[("to", Int(1))],
    );
    let graph = graph.ints("ones", &[3], &[1, 1, 1]).node("Expand", &["c", "ones"], &["d"], &[]).weights("w", &[2, 1], 1.0);
    let graph =
        graph.node("MatMul", &["d", "w"], &["e"], &[]).ints("two", &[2], &[0, 1]).node("Gather", &["e", "two"], &["f"], &[]);
    let graph = graph.ints("one", &[1], &[1]).node("ReduceMean", &["f", "one"], &["g"], &[]).node(
        "LogSoftmax",
        &["g"],
        &["score"],
        &[("axis", Int(0))],
    );
    std::fs::write(world.path("odd.onnx"), graph.output("score", F32).bytes()).unwrap();
    let select = (0..12).map(|i| format!("spend + {i}")).collect::<Vec<_>>().join(", ");
    let outputs = "outputs = [{ name = \"score\", lo = -1, hi = 0, reducer = \"sum\", default = 0 }]";
    let body = format!(
        "rho = 0.1\n[onnx]\nmodel = \"odd.onnx\"\nselect = \"SELECT {select} FROM dataset\"\noutput = \"score\"\nreduce = \"max\"\n{outputs}\n"
    );
    let (job, grant, node) = (world.job("odd.toml", &body), world.text("grant"), world.serve(None));
    let output = world.try_run("buyer", &world.run_args(&job, &node.address, &grant));
    if !output.status.success() {
        assert!(common::text(&output).contains("does not load the model"), "{}", common::text(&output));
        assert_eq!(world.spent(), 0);
    }
    let count = world.count_job();
    world.ok("buyer", &world.run_args(&count, &node.address, &grant));
}
