//! A guest that has escaped: native code in the place of compiled code, run by a worker. It can open nothing and reach nobody.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::fs::{self, File};

use crate::common::World;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use tidegate_protocol::{
    ContentHash, Cost, Job, MicroRho,
    cost::FemtoDelta,
    job::{Mode, Output, Program, Reducer, Split},
    policy::PolicyFile,
};
use tidegate_sandbox::{Attachment, Help, admit, run, units, wasm::Code};

/// What is tried: the number of a system call and its first arguments. Where an argument is [`PATH`] it is the address of the text `/proc/self/status`.
const PATH: u64 = u64::MAX;
const ATTEMPTS: [(&str, u32, [u64; 4]); 24] = [
    ("open", 2, [PATH, 0, 0, 0]),
    ("openat", 257, [-100i64 as u64, PATH, 0, 0]),
    ("openat2", 437, [-100i64 as u64, PATH, 0, 0]),
    ("stat", 4, [PATH, 0, 0, 0]),
    ("access", 21, [PATH, 0, 0, 0]),
    ("readlink", 89, [PATH, 0, 0, 0]),
    ("unlink", 87, [PATH, 0, 0, 0]),
    ("mkdir", 83, [PATH, 0, 0, 0]),
    ("chdir", 80, [PATH, 0, 0, 0]),
    ("mount", 165, [PATH, PATH, PATH, 0]),
    // A socket of TCP, of UDP, of the machine's own.
    ("socket", 41, [2, 1, 0, 0]),
    ("socket", 41, [2, 2, 0, 0]),
    ("socket", 41, [1, 1, 0, 0]),
    ("socketpair", 53, [1, 1, 0, 0]),
    // With nothing to run: where it is allowed, it says that this is no address.
    ("execve", 59, [0, 0, 0, 0]),
    ("execveat", 322, [0, 0, 0, 0]),
    // A process beside this one (with flags that exclude each other), or another one.
    ("clone", 56, [0x800, 0, 0, 0]),
    ("kill", 62, [1, 0, 0, 0]),
    ("ptrace", 101, [0x4200, 1, 0, 0]),
    ("process_vm_readv", 310, [1, 0, 0, 0]),
    ("pidfd_open", 434, [1, 0, 0, 0]),
    // Ways into the kernel.
    ("io_uring_setup", 425, [0, 0, 0, 0]),
    ("unshare", 272, [0x2000_0000, 0, 0, 0]),
    ("shmget", 29, [0, 4096, 0o1600, 0]),
];

/// Machine code that makes all attempts and returns in the place of a number: 1 where each was turned away (EPERM or EACCES), else a half.
fn native() -> Vec<u8> {
    let mut code = vec![];
    let mut paths = vec![];
    // push rbx, rcx, rdx, rsi, rdi, r8, r9, r10, r11; xor ebx, ebx
    code.extend([0x53, 0x51, 0x52, 0x56, 0x57, 0x41, 0x50, 0x41, 0x51, 0x41, 0x52, 0x41, 0x53, 0x31, 0xdb]);
    for (_, number, arguments) in ATTEMPTS {
        // mov rdi, rsi, rdx, r10: the value; or lea with the path's distance, filled in below.
        let moves = [(0x48, 0xbf, 0x3d), (0x48, 0xbe, 0x35), (0x48, 0xba, 0x15), (0x49, 0xba, 0x15)];
        for ((rex, mov, lea), value) in moves.into_iter().zip(arguments) {
            if value == PATH {
                code.extend([rex, 0x8d, lea, 0, 0, 0, 0]);
                paths.push(code.len());
            } else {
                code.extend([rex, mov]);
                code.extend(value.to_le_bytes());
            }
        }
        // mov eax, number; syscall
        code.push(0xb8);
        code.extend(number.to_le_bytes());
        code.extend([0x0f, 0x05]);
        // cmp rax, -1; je +8; cmp rax, -13; je +2; inc ebx
        code.extend([0x48, 0x83, 0xf8, 0xff, 0x74, 0x08, 0x48, 0x83, 0xf8, 0xf3, 0x74, 0x02, 0xff, 0xc3]);
    }
    // mov rax, 1.0; test ebx, ebx; je +10; mov rax, 0.5; movq xmm0, rax
    code.extend([0x48, 0xb8]);
    code.extend(1f64.to_bits().to_le_bytes());
    code.extend([0x85, 0xdb, 0x74, 0x0a, 0x48, 0xb8]);
    code.extend(0.5f64.to_bits().to_le_bytes());
    code.extend([0x66, 0x48, 0x0f, 0x6e, 0xc0]);
    // pop r11, r10, r9, r8, rdi, rsi, rdx, rcx, rbx; ret
    code.extend([0x41, 0x5b, 0x41, 0x5a, 0x41, 0x59, 0x41, 0x58, 0x5f, 0x5e, 0x5a, 0x59, 0x5b, 0xc3]);
    let path = code.len();
    code.extend(b"/proc/self/status\0");
    for after in paths {
        code[after - 4..after].copy_from_slice(&((path - after) as u32).to_le_bytes());
    }
    code
}

/// A row function with a long body, which returns 0: room for the native code.
fn module() -> Vec<u8> {
    let body = "(f64.sqrt (f64.add (f64.const 1.5) ".repeat(400) + "(local.get 0)" + &"))".repeat(400);
    let text = format!("(module (func (export \"row\") (param f64) (result f64) (f64.mul (f64.const 0) {body})))");
    wat::parse_str(text).unwrap()
}

/// Puts the native code where the function is.
fn patch(code: &mut [u8]) {
    let found = u32::from_le_bytes(code[..4].try_into().unwrap()) as usize;
    let elf = &mut code[4 + found..];
    let (at, size) = {
        let file = object::File::parse(&*elf).unwrap();
        let text = file.section_by_name(".text").unwrap();
        let function = file.symbols().find(|s| s.name().is_ok_and(|name| name.contains("wasm[0]::function[0]"))).unwrap();
        let (start, _) = text.file_range().unwrap();
        ((start + function.address() - text.address()) as usize, function.size() as usize)
    };
    let native = native();
    assert!(native.len() <= size, "{} bytes in the place of {size}", native.len());
    elf[at..at + native.len()].copy_from_slice(&native);
}

const POLICY: &str = r#"
    unit = { column = "zper", max_units = 6000, max_rows = 5, max_groups = 1 }
    budget = { delta = 1e-9, rho = 100.0, per_buyer_rho = 100.0 }
    jobs = { kinds = ["wasm"], min_units = 10, fuel = 1000000, memory_mib = 16, slot = "60s", tick = "1s" }
    access = { compute = "granted", replicate = "nobody" }
    columns = { mdvis = { lo = 0, hi = 50 } }
"#;

/// That the code does what it says: here, where no walls are, it reaches something.
#[test]
fn without_walls_it_would_reach_something() {
    let policy = PolicyFile::parse(POLICY).unwrap().check(|e, _| Some(e)).unwrap();
    let outputs = vec![Output { name: "denied".into(), lo: 0.0, hi: 1.0, reducer: Reducer::Sum, default: 0.0 }];
    let program = Program::Wasm {
        infer: None,
        on: None,
        module: ContentHash::of(&module()),
        select: "SELECT mdvis FROM dataset".into(),
        params_base64: String::new(),
        data: None,
        split: Split::Unit,
        outputs,
    };
    let job = Job {
        version: 1,
        request: "0".repeat(32),
        dataset: ContentHash([0; 32]),
        cost: Cost::dp(MicroRho(1), FemtoDelta(0)),
        created: 0,
        mode: Mode::Dp,
        weights: Default::default(),
        program,
    };
    let rows = || File::open(tidegate_fixtures::path("data/rand_hie.parquet")).unwrap();
    let schema = units::schema(&rows()).unwrap();
    let mut code = Code::compile(&module(), policy.limits.memory_bytes as usize).unwrap().bytes().to_vec();
    patch(&mut code);
    let admitted = admit(&job, &policy, &schema, Some(Attachment::from(Code::of_own_compiler(code)))).unwrap();
    let sums = run(&admitted, &[rows()], &[7; 32], Help::default()).unwrap();
    let group = &sums.groups[0];
    // A person's rows are added up: one has half, more have one and are clipped to it. None has 0, as by the code that was compiled.
    let all = i128::from(group.units) << 20;
    assert!(group.lanes[0] > all / 2 && group.lanes[0] < all, "{group:?}");
}

/// Behind them, it reaches nothing.
#[test]
fn behind_the_walls_everything_is_denied() {
    let world = World::new();
    let doctor: serde_json::Value = serde_json::from_str(&world.ok("owner", &["doctor", "--json"])).unwrap();
    let wall = |name: &str| doctor.as_array().unwrap().iter().any(|check| check["what"] == name && check["well"] == true);
    if !wall("system-call filter") {
        eprintln!("SKIPPED: this kernel has no system-call filter");
        assert!(std::env::var_os("REQUIRE_WALLS").is_none(), "the walls are required");
        return;
    }
    fs::write(world.path("row.wasm"), module()).unwrap();
    let job = world.job(
        "job.toml",
        r#"
        rho = 0.4
        [wasm]
        module = "row.wasm"
        select = "SELECT spend FROM dataset WHERE city = 'north'"
        outputs = [{ name = "denied", lo = 0, hi = 1, reducer = "sum", default = 0 }]
        "#,
    );
    let run = || {
        let node = world.serve(None);
        let grant = world.text("grant");
        let said = world.ok("buyer", &world.run_args(&job, &node.address, &grant));
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        said["result"]["rows"][0]["cells"][0]["value"].as_f64().unwrap()
    };
    // Sixty people, and noise of a little over one. As compiled, everybody has 0.
    assert!(run() < 10.0);
    let folder = world.path("owner/code");
    let key: [u8; 32] = fs::read(folder.join("key")).unwrap().try_into().unwrap();
    let kept = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).find(|path| !path.ends_with("key")).unwrap();
    let mut code = Code::unseal(&fs::read(&kept).unwrap(), &key).unwrap().bytes().to_vec();
    patch(&mut code);
    fs::write(&kept, Code::of_own_compiler(code).seal(&key)).unwrap();
    // Everybody has 1 where each attempt was turned away; a half where one was not; 0 where the code did not run, or the worker died of it.
    let denied = run();
    assert!(denied > 50.0, "{denied} of 60");
    assert!(fs::read_dir(world.path("owner")).unwrap().all(|file| file.unwrap().file_name() != "quarantine"), "nothing broke");
}
