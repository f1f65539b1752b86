//! WASI 0.2 for language runtimes, answered such that nothing of the outside world shows.
//!
//! The clock stands still, random numbers come from a public seed, there are no files, no environment and no input; output goes
//! to nobody, or to the author in rehearsal.
//!
//! Names and types are those of the packages wasi:cli, wasi:clocks, wasi:io, wasi:random and wasi:filesystem, 0.2
//! (<https://github.com/WebAssembly/WASI>). Any other function of theirs that a component imports exists and traps when called:
//! without a file there is no descriptor to call it with.

use wasmtime::{
    Result, StoreContextMut, bail,
    component::{Component, ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType},
};

use super::host::{Call, HANDED};

/// Interfaces with answers. Any other is refused by name, sockets among them.
pub(super) const ANSWERED: [&str; 20] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// Returns the interface named by an import `wasi:package/interface@0.2.n`, if answered here.
pub(super) fn answered(import: &str) -> Option<&'static str> {
    let (name, version) = import.split_once('@')?;
    let patch = version.strip_prefix("0.2.")?;
    let plain = !patch.is_empty() && patch.bytes().all(|b| b.is_ascii_digit());
    ANSWERED.iter().find(|known| plain && **known == name).copied()
}

/// Answers the WASI imports of `component`, which were checked before.
pub(super) fn add(linker: &mut Linker<Call>, component: &Component) -> Result<()> {
    let engine = component.engine().clone();
    let kind = component.component_type();
    let imports: Vec<_> = kind.imports(&engine).filter_map(|(name, _)| Some((name, answered(name)?))).collect();
    if imports.is_empty() {
        return Ok(());
    }
    for (import, interface) in imports {
        let to = &mut linker.instance(import)?;
        handles(to, interface)?;
        match interface.strip_prefix("wasi:").unwrap_or_default() {
            "cli/environment" => environment(to)?,
            "cli/exit" => exit(to)?,
            "cli/stdin" => to.func_wrap("get-stdin", |_, ()| Ok((Resource::<Input>::new_own(0),)))?,
            "cli/stdout" => to.func_wrap("get-stdout", |_, ()| Ok((Resource::<Output>::new_own(0),)))?,
            "cli/stderr" => to.func_wrap("get-stderr", |_, ()| Ok((Resource::<Output>::new_own(0),)))?,
            "cli/terminal-stdin" => to.func_wrap("get-terminal-stdin", |_, ()| Ok((None::<Resource<TerminalInput>>,)))?,
            "cli/terminal-stdout" => to.func_wrap("get-terminal-stdout", |_, ()| Ok((None::<Resource<TerminalOutput>>,)))?,
            "cli/terminal-stderr" => to.func_wrap("get-terminal-stderr", |_, ()| Ok((None::<Resource<TerminalOutput>>,)))?,
            "clocks/monotonic-clock" => monotonic_clock(to)?,
            "clocks/wall-clock" => wall_clock(to)?,
            "filesystem/preopens" => {
                to.func_wrap("get-directories", |_, ()| Ok((Vec::<(Resource<Descriptor>, String)>::new(),)))?;
            }
            "io/error" => error(to)?,
            "io/poll" => poll(to)?,
            "io/streams" => {
                input_stream(to)?;
                output_stream(to)?;
            }
            "random/random" => random(to, "get-random-bytes", "get-random-u64")?,
            "random/insecure" => random(to, "get-insecure-random-bytes", "get-insecure-random-u64")?,
            "random/insecure-seed" => {
                to.func_wrap("insecure-seed", |mut store: Store<'_>, ()| {
                    let call = store.data_mut();
                    Ok(((call.chance_u64(), call.chance_u64()),))
                })?;
            }
            _ => {}
        }
    }
    linker.define_unknown_imports_as_traps(component)
}

type Store<'a> = StoreContextMut<'a, Call>;
type To<'a, 'b> = &'a mut LinkerInstance<'b, Call>;

/// Kinds of handles. None has state: they are all alike.
struct Input;
struct Output;
struct Pollable;
struct IoError;
struct Descriptor;
struct Entries;
struct TerminalInput;
struct TerminalOutput;

/// Defines the handles defined or used by an interface.
fn handles(to: To<'_, '_>, interface: &str) -> Result<()> {
    let names: &[&str] = match interface.strip_prefix("wasi:").unwrap_or_default() {
        "cli/stdin" => &["input-stream"],
        "cli/stdout" | "cli/stderr" => &["output-stream"],
        "cli/terminal-input" | "cli/terminal-stdin" => &["terminal-input"],
        "cli/terminal-output" | "cli/terminal-stdout" | "cli/terminal-stderr" => &["terminal-output"],
        "clocks/monotonic-clock" | "io/poll" => &["pollable"],
        "filesystem/preopens" => &["descriptor"],
        "filesystem/types" => &["descriptor", "directory-entry-stream", "input-stream", "output-stream", "error"],
        "io/error" => &["error"],
        "io/streams" => &["input-stream", "output-stream", "error", "pollable"],
        _ => &[],
    };
    for name in names {
        let kind = match *name {
            "input-stream" => ResourceType::host::<Input>(),
            "output-stream" => ResourceType::host::<Output>(),
            "pollable" => ResourceType::host::<Pollable>(),
            "error" => ResourceType::host::<IoError>(),
            "descriptor" => ResourceType::host::<Descriptor>(),
            "directory-entry-stream" => ResourceType::host::<Entries>(),
            "terminal-input" => ResourceType::host::<TerminalInput>(),
            _ => ResourceType::host::<TerminalOutput>(),
        };
        to.resource(name, kind, |_, _| Ok(()))?;
    }
    Ok(())
}

#[derive(ComponentType, Lower, Lift)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    Failed(Resource<IoError>),
    #[component(name = "closed")]
    Closed,
}

#[derive(ComponentType, Lower, Lift)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

type Io<T> = std::result::Result<T, StreamError>;

fn environment(to: To<'_, '_>) -> Result<()> {
    to.func_wrap("get-environment", |_, ()| Ok((Vec::<(String, String)>::new(),)))?;
    to.func_wrap("get-arguments", |_, ()| Ok((Vec::<String>::new(),)))?;
    to.func_wrap("initial-cwd", |_, ()| Ok((None::<String>,)))
}

fn exit(to: To<'_, '_>) -> Result<()> {
    to.func_wrap("exit", |_, (_status,): (std::result::Result<(), ()>,)| -> Result<()> { bail!("the program ended itself") })
}

fn monotonic_clock(to: To<'_, '_>) -> Result<()> {
    let wait = |_: Store<'_>, (_,): (u64,)| Ok((Resource::<Pollable>::new_own(0),));
    // Go takes zero for a failed clock.
    to.func_wrap("now", |_, ()| Ok((1u64,)))?;
    to.func_wrap("resolution", |_, ()| Ok((1u64,)))?;
    to.func_wrap("subscribe-instant", wait)?;
    to.func_wrap("subscribe-duration", wait)
}

fn wall_clock(to: To<'_, '_>) -> Result<()> {
    to.func_wrap("now", |_, ()| Ok((Datetime { seconds: 0, nanoseconds: 0 },)))?;
    to.func_wrap("resolution", |_, ()| Ok((Datetime { seconds: 1, nanoseconds: 0 },)))
}

fn error(to: To<'_, '_>) -> Result<()> {
    to.func_wrap("[method]error.to-debug-string", |_, (_,): (Resource<IoError>,)| Ok(("closed".to_owned(),)))
}

/// Defines polling: everything is ready at once, so nobody waits.
fn poll(to: To<'_, '_>) -> Result<()> {
    to.func_wrap("[method]pollable.ready", |_, (_,): (Resource<Pollable>,)| Ok((true,)))?;
    to.func_wrap("[method]pollable.block", |_, (_,): (Resource<Pollable>,)| Ok(()))?;
    to.func_wrap("poll", |mut store: Store<'_>, (all,): (Vec<Resource<Pollable>>,)| {
        store.data_mut().owe(8 * all.len());
        Ok(((0..all.len() as u32).collect::<Vec<u32>>(),))
    })
}

/// Defines input streams, which are closed.
fn input_stream(to: To<'_, '_>) -> Result<()> {
    for name in ["read", "blocking-read"] {
        let read = |_: Store<'_>, _: (Resource<Input>, u64)| Ok((Io::<Vec<u8>>::Err(StreamError::Closed),));
        to.func_wrap(&format!("[method]input-stream.{name}"), read)?;
    }
    for name in ["skip", "blocking-skip"] {
        let skip = |_: Store<'_>, _: (Resource<Input>, u64)| Ok((Io::<u64>::Err(StreamError::Closed),));
        to.func_wrap(&format!("[method]input-stream.{name}"), skip)?;
    }
    to.func_wrap("[method]input-stream.subscribe", |_, (_,): (Resource<Input>,)| Ok((Resource::<Pollable>::new_own(0),)))
}

/// Defines output streams: output is shown in rehearsal, and otherwise only appears to be written.
fn output_stream(to: To<'_, '_>) -> Result<()> {
    to.func_wrap("[method]output-stream.check-write", |_, (_,): (Resource<Output>,)| Ok((Io::Ok(HANDED as u64 / 2),)))?;
    for name in ["write", "blocking-write-and-flush"] {
        let write = |mut store: Store<'_>, (_, bytes): (Resource<Output>, Vec<u8>)| {
            store.data_mut().say(&bytes);
            Ok((Io::Ok(()),))
        };
        to.func_wrap(&format!("[method]output-stream.{name}"), write)?;
    }
    for name in ["flush", "blocking-flush"] {
        let flush = |_: Store<'_>, (_,): (Resource<Output>,)| Ok((Io::Ok(()),));
        to.func_wrap(&format!("[method]output-stream.{name}"), flush)?;
    }
    for name in ["write-zeroes", "blocking-write-zeroes-and-flush"] {
        let write = |_: Store<'_>, _: (Resource<Output>, u64)| Ok((Io::Ok(()),));
        to.func_wrap(&format!("[method]output-stream.{name}"), write)?;
    }
    for name in ["splice", "blocking-splice"] {
        let splice = |_: Store<'_>, _: (Resource<Output>, Resource<Input>, u64)| Ok((Io::<u64>::Err(StreamError::Closed),));
        to.func_wrap(&format!("[method]output-stream.{name}"), splice)?;
    }
    to.func_wrap("[method]output-stream.subscribe", |_, (_,): (Resource<Output>,)| Ok((Resource::<Pollable>::new_own(0),)))
}

fn random(to: To<'_, '_>, bytes: &str, number: &str) -> Result<()> {
    to.func_wrap(bytes, |mut store: Store<'_>, (len,): (u64,)| {
        if len > HANDED as u64 {
            bail!("{len} random bytes are more than {HANDED} in one call");
        }
        let mut bytes = vec![0; len as usize];
        store.data_mut().chance(&mut bytes);
        Ok((bytes,))
    })?;
    to.func_wrap(number, |mut store: Store<'_>, ()| Ok((store.data_mut().chance_u64(),)))
}
