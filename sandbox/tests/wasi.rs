//! What a language runtime asks of WASI, answered so that nothing shows: no time, no environment, no files; chance that is the same for everybody.

use crate::common::{job, policy, table};
use tidegate_protocol::{
    ContentHash, Refusal,
    job::{Output, Program, Reducer, Split},
};
use tidegate_sandbox::{Help, Rehearsal, admit, run};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// As much of WASI 0.2 as the guest below imports, of some version of it.
const WASI: [&str; 5] = [
    "package wasi:io@0.2.3;
     interface error { resource error; }
     interface poll { resource pollable { block: func(); ready: func() -> bool; } }
     interface streams {
       use error.{error}; use poll.{pollable};
       variant stream-error { last-operation-failed(error), closed }
       resource input-stream { read: func(len: u64) -> result<list<u8>, stream-error>; }
       resource output-stream { blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>; subscribe: func() -> pollable; }
     }",
    "package wasi:clocks@0.2.3;
     interface wall-clock { record datetime { seconds: u64, nanoseconds: u32 } now: func() -> datetime; }
     interface monotonic-clock { use wasi:io/poll@0.2.3.{pollable}; now: func() -> u64; subscribe-duration: func(when: u64) -> pollable; }",
    "package wasi:random@0.2.3; interface random { get-random-u64: func() -> u64; get-random-bytes: func(len: u64) -> list<u8>; }",
    "package wasi:filesystem@0.2.3;
     interface types { resource descriptor { sync: func(); } }
     interface preopens { use types.{descriptor}; get-directories: func() -> list<tuple<descriptor, string>>; }",
    "package wasi:cli@0.2.3;
     interface environment { get-environment: func() -> list<tuple<string, string>>; get-arguments: func() -> list<string>; }
     interface exit { exit: func(status: result); }
     interface stdout { use wasi:io/streams@0.2.3.{output-stream}; get-stdout: func() -> output-stream; }",
];

const WORLD: &str = "package test:guest;
    world guest {
      import wasi:clocks/wall-clock@0.2.3; import wasi:clocks/monotonic-clock@0.2.3; import wasi:io/poll@0.2.3; import wasi:io/streams@0.2.3;
      import wasi:random/random@0.2.3; import wasi:filesystem/types@0.2.3; import wasi:filesystem/preopens@0.2.3;
      import wasi:cli/environment@0.2.3; import wasi:cli/exit@0.2.3; import wasi:cli/stdout@0.2.3;
      include tidegate:job/job@0.1.0;
    }";

/// Says something, waits an hour, and returns a number by chance and the sum of all that must be nothing. `last` is done before it returns.
fn guest(last: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
      (import "wasi:random/random@0.2.3" "get-random-u64" (func $chance (result i64)))
      (import "wasi:random/random@0.2.3" "get-random-bytes" (func $bytes (param i64 i32)))
      (import "wasi:clocks/wall-clock@0.2.3" "now" (func $wall (param i32)))
      (import "wasi:clocks/monotonic-clock@0.2.3" "now" (func $now (result i64)))
      (import "wasi:clocks/monotonic-clock@0.2.3" "subscribe-duration" (func $wait (param i64) (result i32)))
      (import "wasi:io/poll@0.2.3" "[method]pollable.block" (func $block (param i32)))
      (import "wasi:cli/environment@0.2.3" "get-environment" (func $environment (param i32)))
      (import "wasi:cli/environment@0.2.3" "get-arguments" (func $arguments (param i32)))
      (import "wasi:cli/exit@0.2.3" "exit" (func $exit (param i32)))
      (import "wasi:filesystem/preopens@0.2.3" "get-directories" (func $directories (param i32)))
      (import "wasi:filesystem/types@0.2.3" "[method]descriptor.sync" (func $sync (param i32)))
      (import "wasi:cli/stdout@0.2.3" "get-stdout" (func $stdout (result i32)))
      (import "wasi:io/streams@0.2.3" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))
      (memory (export "memory") 2)
      (data (i32.const 0) "\08\00\00\00\02\00\00\00")
      (data (i32.const 64) "first line\nsecond")
      (global $top (mut i32) (i32.const 4096))
      (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (global.set $top (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
        (global.get $top)
        (global.set $top (i32.add (global.get $top) (local.get 3))))
      (func (export "contribute") (param $rows i32) (param $columns i32) (param $count i32) (result i32)
        (call $write (call $stdout) (i32.const 64) (i32.const 17) (i32.const 128))
        (call $block (call $wait (i64.const 3600000000000)))
        (call $wall (i32.const 160))
        (call $environment (i32.const 192))
        (call $arguments (i32.const 200))
        (call $directories (i32.const 208))
        (f64.store (i32.const 8) (f64.div (f64.convert_i64_u (i64.shr_u (call $chance) (i64.const 11))) (f64.const 0x1p53)))
        (f64.store (i32.const 16) (f64.convert_i64_u (i64.add (i64.sub (call $now) (i64.const 1)) (i64.add (i64.load (i32.const 160)) (i64.extend_i32_u
          (i32.add (i32.load (i32.const 196)) (i32.add (i32.load (i32.const 204)) (i32.load (i32.const 212)))))))))
        {last}
        (i32.const 0)))"#
    );
    let mut core = wat::parse_str(text).unwrap();
    let mut resolve = wit_parser::Resolve::default();
    for text in WASI.iter().chain([&tidegate_guest::WIT]) {
        resolve.push_str("deps.wit", text).unwrap();
    }
    let package = resolve.push_str("guest.wit", WORLD).unwrap();
    let world = resolve.select_world(&[package], Some("guest")).unwrap();
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&core).unwrap().validate(true).encode().unwrap()
}

/// The sums over three people, and what was said.
fn run_guest(component: &[u8], params: &str) -> Result<(Vec<i128>, Vec<String>), Refusal> {
    let t = table(&[(Some(1), Some(1.0), 1, ""), (Some(2), Some(2.0), 2, ""), (Some(3), Some(3.0), 3, "")]);
    let output = |name: &str| Output { name: name.into(), lo: 0.0, hi: 1.0, reducer: Reducer::Sum, default: 0.5 };
    let job = job(Program::Wasm {
        infer: None,
        on: None,
        module: ContentHash::of(component),
        select: "SELECT spend FROM dataset".into(),
        params_base64: params.into(),
        data: None,
        split: Split::Unit,
        outputs: vec![output("chance"), output("nothing")],
    });
    let admitted = admit(&job, &policy(), &t.schema, Some(component.to_vec().into()))?;
    let files = || [t.file.try_clone().unwrap()];
    let quiet = run(&admitted, &files(), &[7; 32], Help::default()).unwrap().groups.remove(0).lanes;
    let mut shown = Rehearsal::default();
    let again = run(&admitted, &files(), &[9; 32], Help { rehearsal: Some(&mut shown), ..Help::default() }).unwrap();
    assert_eq!(again.groups[0].lanes, quiet, "the same in each run");
    Ok((quiet, shown.lines))
}

#[test]
fn nothing_of_the_world_shows() {
    let component = guest("");
    let (lanes, said) = run_guest(&component, "").unwrap();
    assert_eq!(said, ["first line", "second"].repeat(3));
    assert_eq!(lanes[1], 0, "time, environment, arguments, folders");
    assert!(lanes[0] > 0 && lanes[0] % 3 == 0, "the same number by chance in each call: {lanes:?}");
    assert_ne!(run_guest(&component, "AAAA").unwrap().0[0], lanes[0], "another job has another seed");
}

/// What cannot be had ends the call, and its default stands.
#[test]
fn what_is_not_there_traps() {
    for (last, why) in [
        ("(call $exit (i32.const 0))", "ended itself"),
        ("(call $sync (i32.const 1))", "handle"),
        ("(call $bytes (i64.const 100000000) (i32.const 216))", "random bytes"),
        ("(loop (call $bytes (i64.const 60000) (i32.const 216)) (global.set $top (i32.const 4096)) (br 0))", "fuel"),
        ("(loop (call $block (call $wait (i64.const 1))) (br 0))", "fuel"),
    ] {
        let (lanes, said) = run_guest(&guest(last), "").unwrap();
        let default = 3 * (1 << 20) / 2;
        assert_eq!(lanes, [default, default], "{last}");
        assert!(said.iter().any(|line| line.contains(why)), "{why}: {said:?}");
    }
}

/// A module as compilers for WASI's first preview leave it, with the world's export beside: it is made a component, and finds as little.
#[test]
fn a_module_of_the_first_preview_is_adapted() {
    let core = |last: &str| {
        let text = format!(
            r#"(module
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "random_get" (func $chance (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "clock_time_get" (func $now (param i32 i64 i32) (result i32)))
          (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environment (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "args_sizes_get" (func $arguments (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_prestat_get" (func $folder (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 16)
          (data (i32.const 0) "\08\00\00\00\02\00\00\00")
          (data (i32.const 32) "\40\00\00\00\11\00\00\00")
          (data (i32.const 64) "first line\nsecond")
          (global $top (mut i32) (i32.const 65536))
          (func (export "_initialize"))
          (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
            (global.set $top (i32.and (i32.add (global.get $top) (i32.const 65535)) (i32.const -65536)))
            (global.get $top)
            (global.set $top (i32.add (global.get $top) (local.get 3))))
          (func (export "contribute") (param i32 i32 i32) (result i32)
            (drop (call $write (i32.const 1) (i32.const 32) (i32.const 1) (i32.const 96)))
            (drop (call $chance (i32.const 128) (i32.const 8)))
            (drop (call $now (i32.const 0) (i64.const 1) (i32.const 160)))
            (drop (call $environment (i32.const 192) (i32.const 196)))
            (drop (call $arguments (i32.const 200) (i32.const 204)))
            (f64.store (i32.const 8) (f64.div (f64.convert_i64_u (i64.shr_u (i64.load (i32.const 128)) (i64.const 11))) (f64.const 0x1p53)))
            (f64.store (i32.const 16) (f64.convert_i64_u (i64.add (i64.load (i32.const 160)) (i64.extend_i32_u (i32.add
              (i32.add (i32.load (i32.const 192)) (i32.load (i32.const 200)))
              (i32.eqz (call $folder (i32.const 3) (i32.const 208))))))))
            {last}
            (i32.const 0)))"#
        );
        tidegate_guest::component::componentize(&wat::parse_str(text).unwrap()).unwrap()
    };
    let (lanes, said) = run_guest(&core(""), "").unwrap();
    assert_eq!(said, ["first line", "second"].repeat(3));
    assert_eq!(lanes[1], 0, "time, environment, arguments, folders");
    assert!(lanes[0] > 0 && lanes[0] % 3 == 0, "the same number by chance in each call: {lanes:?}");
    let (lanes, _) = run_guest(&core("(call $exit (i32.const 0))"), "").unwrap();
    assert_eq!(lanes, [3 * (1 << 20) / 2; 2], "who ends itself has the default");
}

/// Every call of the first preview: its name, and what it is given. Without a file there is none to do it with.
const FILES: [(&str, &str); 33] = [
    ("fd_advise", "i32 i64 i64 i32"),
    ("fd_allocate", "i32 i64 i64"),
    ("fd_close", "i32"),
    ("fd_datasync", "i32"),
    ("fd_fdstat_get", "i32 i32"),
    ("fd_fdstat_set_flags", "i32 i32"),
    ("fd_fdstat_set_rights", "i32 i64 i64"),
    ("fd_filestat_get", "i32 i32"),
    ("fd_filestat_set_size", "i32 i64"),
    ("fd_filestat_set_times", "i32 i64 i64 i32"),
    ("fd_pread", "i32 i32 i32 i64 i32"),
    ("fd_prestat_dir_name", "i32 i32 i32"),
    ("fd_prestat_get", "i32 i32"),
    ("fd_pwrite", "i32 i32 i32 i64 i32"),
    ("fd_read", "i32 i32 i32 i32"),
    ("fd_readdir", "i32 i32 i32 i64 i32"),
    ("fd_renumber", "i32 i32"),
    ("fd_seek", "i32 i64 i32 i32"),
    ("fd_sync", "i32"),
    ("fd_tell", "i32 i32"),
    ("fd_write", "i32 i32 i32 i32"),
    ("path_create_directory", "i32 i32 i32"),
    ("path_filestat_get", "i32 i32 i32 i32 i32"),
    ("path_filestat_set_times", "i32 i32 i32 i32 i64 i64 i32"),
    ("path_link", "i32 i32 i32 i32 i32 i32 i32"),
    ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32"),
    ("path_readlink", "i32 i32 i32 i32 i32 i32"),
    ("path_remove_directory", "i32 i32 i32"),
    ("path_rename", "i32 i32 i32 i32 i32 i32"),
    ("path_symlink", "i32 i32 i32 i32 i32"),
    ("path_unlink_file", "i32 i32 i32"),
    ("sock_send", "i32 i32 i32 i32 i32"),
    ("sock_shutdown", "i32 i32"),
];

/// A module of the first preview whose runtime cannot allocate before it has begun, nor bear that anybody else takes of its memory: Go's and TinyGo's. What
/// it writes is long, and lies at the bottom of its memory.
#[test]
fn the_first_preview_takes_nothing_of_a_module() {
    let imports: String = FILES
        .iter()
        .map(|(name, takes)| {
            format!("(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} (param {takes}) (result i32)))\n")
        })
        .collect();
    // Each is given a file that is not there, and says so: 8, EBADF.
    let calls: String = FILES
        .iter()
        .map(|(name, takes)| {
            let given: String = takes.split(' ').map(|kind| format!("({kind}.const 3)")).collect();
            format!("(call $wrong (i32.ne (call ${name} {given}) (i32.const 8)))\n")
        })
        .collect();
    let text = format!(
        r#"(module
      {imports}
      (import "wasi_snapshot_preview1" "random_get" (func $chance (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "clock_time_get" (func $now (param i32 i64 i32) (result i32)))
      (import "wasi_snapshot_preview1" "clock_res_get" (func $resolution (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environment (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "environ_get" (func $variables (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "args_get" (func $arguments (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
      (memory (export "memory") 4)
      (data (i32.const 0) "at the bottom:")
      (data (i32.const 2048) "\00\00\00\00\00\10\00\00" "\00\00\00\00\0e\00\00\00" "\00\20\00\00\01\00\00\00")
      (data (i32.const 8192) "\n")
      (global $begun (mut i32) (i32.const 0))
      (global $top (mut i32) (i32.const 131072))
      (global $wrongs (mut i32) (i32.const 0))
      (func $wrong (param i32) (global.set $wrongs (i32.add (global.get $wrongs) (local.get 0))))
      (func (export "_initialize")
        (call $wrong (call $environment (i32.const 512) (i32.const 516)))
        (call $wrong (call $chance (i32.const 9216) (i32.const 13)))
        (global.set $begun (i32.const 1)))
      (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (if (i32.eqz (global.get $begun)) (then (unreachable)))
        (global.set $top (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
        (global.get $top)
        (global.set $top (i32.add (global.get $top) (local.get 3))))
      (func (export "contribute") (param i32 i32 i32) (result i32)
        {calls}
        ;; 4096 bytes from the bottom, the first 14 of them again, and a line's end.
        (call $wrong (call $fd_write (i32.const 2) (i32.const 2048) (i32.const 3) (i32.const 512)))
        (call $wrong (i32.ne (i32.load (i32.const 512)) (i32.const 4111)))
        (call $wrong (i64.ne (i64.load (i32.const 0)) (i64.const 0x6220656874207461)))
        (call $wrong (i32.ne (i32.load (i32.const 8)) (i32.const 0x6f74746f)))
        ;; Thirteen bytes by chance, and no fourteenth.
        (call $wrong (i64.eqz (i64.load (i32.const 9221))))
        (call $wrong (i32.load8_u (i32.const 9229)))
        (call $wrong (call $now (i32.const 1) (i64.const 1) (i32.const 512)))
        (call $wrong (i64.ne (i64.load (i32.const 512)) (i64.const 1)))
        (call $wrong (call $resolution (i32.const 1) (i32.const 512)))
        (call $wrong (i64.ne (i64.load (i32.const 512)) (i64.const 1)))
        (call $wrong (call $variables (i32.const 512) (i32.const 516)))
        (call $wrong (call $arguments (i32.const 512) (i32.const 516)))
        (call $wrong (call $yield))
        ;; Two that would wait: at 1500 and on, by 7 and 9 that are told of them again.
        (i64.store (i32.const 1504) (i64.const 7))
        (i64.store (i32.const 1552) (i64.const 9))
        (i32.store8 (i32.const 1560) (i32.const 2))
        (call $wrong (call $poll (i32.const 1504) (i32.const 1664) (i32.const 2) (i32.const 512)))
        (call $wrong (i32.ne (i32.load (i32.const 512)) (i32.const 2)))
        (call $wrong (i64.ne (i64.add (i64.load (i32.const 1664)) (i64.load (i32.const 1696))) (i64.const 16)))
        (call $wrong (i32.ne (i32.load8_u (i32.const 1706)) (i32.const 2)))
        ;; Standard output is a terminal, of which nothing can be read, and in which nobody goes back.
        (call $wrong (call $fd_fdstat_get (i32.const 1) (i32.const 512)))
        (call $wrong (i32.ne (i32.load8_u (i32.const 512)) (i32.const 2)))
        (call $wrong (call $fd_filestat_get (i32.const 1) (i32.const 512)))
        (call $wrong (i32.ne (i32.load8_u (i32.const 528)) (i32.const 2)))
        (call $wrong (i32.ne (call $fd_seek (i32.const 1) (i64.const 0) (i32.const 0) (i32.const 512)) (i32.const 70)))
        (call $wrong (call $fd_read (i32.const 0) (i32.const 2048) (i32.const 1) (i32.const 512)))
        (call $wrong (i32.load (i32.const 512)))
        (call $wrong (i32.ne (memory.size) (i32.const 4)))
        (i32.store (i32.const 4096) (i32.const 4104))
        (i32.store (i32.const 4100) (i32.const 2))
        (f64.store (i32.const 4104) (f64.const 1))
        (f64.store (i32.const 4112) (f64.convert_i32_s (global.get $wrongs)))
        (i32.const 4096)))"#
    );
    let component = tidegate_guest::component::componentize(&wat::parse_str(text).unwrap()).unwrap();
    let (lanes, said) = run_guest(&component, "").unwrap();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said.iter().all(|line| line.starts_with("at the bottom:")), "{said:?}");
    assert_eq!(lanes, [3 * (1 << 20), 0], "called, and right each time");
}
