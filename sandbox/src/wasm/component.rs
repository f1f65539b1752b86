//! Compilation of a component, and its check against the world. Nothing is run here.

use tidegate_protocol::{Code, Refusal};
use wasmtime::{
    Engine,
    component::{Component, HasSelf, Linker},
};

use super::{
    checked::checked,
    host::{
        Call,
        bindings::{Job, JobPre},
    },
    module::{functions, refuse},
    nn,
    prices::Layout,
    wasi,
};

/// Imports allowed for a component beside [`wasi`] and [`nn`].
const IMPORTS: [&str; 2] = ["tidegate:job/host@0.1.0", "tidegate:job/types@0.1.0"];

/// Compiles `bytes`, which must be a binary component: the text form and precompiled code would be read by other parsers.
pub(super) fn compile(engine: &Engine, bytes: &[u8], layout: Layout) -> Result<Component, Refusal> {
    if bytes.get(..8) != Some(&[0, b'a', b's', b'm', 0x0d, 0, 1, 0]) {
        return Err(refuse("not a WebAssembly component").fix("Build it with a guest SDK"));
    }
    functions(bytes)?;
    Component::from_binary(engine, &checked(bytes, layout)?).map_err(|e| refuse(format!("the component does not compile: {e:#}")))
}

/// Checks the component against the world; other imports are refused.
pub(super) fn link(engine: &Engine, component: &Component) -> Result<JobPre<Call>, Refusal> {
    for (name, _) in component.component_type().imports(engine) {
        if !IMPORTS.contains(&name) && wasi::answered(name).is_none() && !nn::answered(name) {
            let mut packages: Vec<_> = wasi::ANSWERED.iter().filter_map(|name| Some(name.split_once('/')?.0)).collect();
            packages.dedup();
            let fix = format!("Guests may import {}, {}, and of WASI 0.2: {}", IMPORTS[0], nn::VERSION, packages.join(", "));
            return Err(refuse(format!("imports {name}, which no guest has")).fix(fix));
        }
    }
    let mut linker = Linker::new(engine);
    Job::add_to_linker::<_, HasSelf<_>>(&mut linker, |call: &mut Call| call)
        .and_then(|()| nn::add(&mut linker, component))
        .and_then(|()| wasi::add(&mut linker, component))
        .map_err(|e| Refusal::new(Code::Unavailable, e.to_string()))?;
    linker
        .instantiate_pre(component)
        .and_then(JobPre::new)
        .map_err(|e| refuse(format!("not a component of world tidegate:job: {e:#}")))
}
