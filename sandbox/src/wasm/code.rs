//! Compiled components: code to be stored and loaded again.

use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use tidegate_protocol::{Code as RefusalCode, Refusal};
use wasmtime::{Engine, Module, component::Component};

use super::{
    checked::checked,
    component::{compile, link},
    engine::{engine, uncounted},
    module::{functions, is_core, refuse},
    prices::Layout,
    startup::startup,
    stateless::{Proof, RowFunction, prove},
};

/// Machine code of a component of world `tidegate:job`, for engines of the same kind.
///
/// It runs as it is: only results of [`Code::compile`] may be loaded. Whoever stores it elsewhere seals it.
#[derive(Clone)]
pub struct Code(Arc<Vec<u8>>);

/// Facts found about a program before compilation.
#[derive(Serialize, Deserialize)]
struct Found {
    /// Row function, if the program is a row function.
    function: Option<RowFunction>,
    layout: Layout,
    /// Fuel to create its instances.
    startup: u64,
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Code({} bytes)", self.0.len())
    }
}

impl Code {
    /// Compiles a component for instances with `bytes` of memory, and checks the component against the world.
    ///
    /// # Errors
    /// Returns a [`Refusal`] naming the fault.
    pub fn compile(component: &[u8], bytes: usize) -> Result<Self, Refusal> {
        let layout = Layout::of(component, bytes);
        let (function, code) = if is_core(component) {
            let function = row_function(component, layout)?;
            let module =
                compile_rows(&engine_for(&function, bytes, layout)?, component, Some(layout).filter(|_| function.is_counted()))?;
            (Some(function), module.serialize().map_err(unavailable)?)
        } else {
            let engine = engine(bytes, layout).map_err(unavailable)?;
            let compiled = compile(&engine, component, layout)?;
            link(&engine, &compiled)?;
            (None, compiled.serialize().map_err(unavailable)?)
        };
        // The facts precede the code.
        let found = serde_json::to_vec(&Found { function, layout, startup: startup(component)? })
            .map_err(|e| Refusal::new(RefusalCode::Unavailable, e.to_string()))?;
        let mut bytes = (found.len() as u32).to_le_bytes().to_vec();
        bytes.extend(found);
        bytes.extend(code);
        Ok(Self(Arc::new(bytes)))
    }

    /// Returns the facts and the code.
    fn parts(&self) -> Result<(Found, &[u8]), Refusal> {
        let parts = || {
            let (length, rest) = self.0.split_first_chunk::<4>()?;
            let (found, code) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            Some((serde_json::from_slice(found).ok()?, code))
        };
        parts().ok_or_else(|| Refusal::new(RefusalCode::Unavailable, "kept code is not whole"))
    }

    /// Returns the row function, if the program is a row function.
    pub(super) fn function(&self) -> Result<Option<RowFunction>, Refusal> {
        Ok(self.parts()?.0.function)
    }

    /// Returns the fuel to create its instances.
    pub(super) fn startup(&self) -> Result<u64, Refusal> {
        Ok(self.parts()?.0.startup)
    }

    /// Returns the layout of its memory and code.
    pub(super) fn layout(&self) -> Result<Layout, Refusal> {
        Ok(self.parts()?.0.layout)
    }

    /// Loads a row function.
    #[allow(unsafe_code)]
    pub(super) fn load_rows(&self, engine: &Engine) -> Result<Module, Refusal> {
        // SAFETY: as in `load`.
        unsafe { Module::deserialize(engine, self.parts()?.1) }.map_err(unavailable)
    }

    /// Wraps bytes made by [`Code::compile`].
    ///
    /// The process must have got them from the process that had them compiled.
    pub fn of_own_compiler(bytes: Vec<u8>) -> Self {
        Self(Arc::new(bytes))
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the bytes with a seal, which only the holder of `key` can make.
    pub fn seal(&self, key: &[u8; 32]) -> Vec<u8> {
        let mut sealed = blake3::keyed_hash(key, &self.0).as_bytes().to_vec();
        sealed.extend_from_slice(&self.0);
        sealed
    }

    /// Returns the code sealed with `key`; `None` if the seal is not by this key, or the code has changed since.
    pub fn unseal(sealed: &[u8], key: &[u8; 32]) -> Option<Self> {
        let (seal, code) = sealed.split_at_checked(blake3::OUT_LEN)?;
        let seal = blake3::Hash::from_slice(seal).ok()?;
        (seal == blake3::keyed_hash(key, code)).then(|| Self(Arc::new(code.to_vec())))
    }

    /// Loads a component.
    #[allow(unsafe_code)]
    pub(super) fn load(&self, engine: &Engine) -> Result<Component, Refusal> {
        // SAFETY: `deserialize` requires output of wasmtime's own serialisation. A `Code` is made by `compile`, in this process
        // or in a worker of this program that compiles and does nothing else. Between processes it passes through the node's
        // pipes, or through a file that its seal vouches for. If such a worker were taken over by the component it compiles, its
        // code would run where that component runs anyway: within process confinement.
        unsafe { Component::deserialize(engine, self.parts()?.1) }.map_err(unavailable)
    }

    /// Returns a hash of everything shared by engines able to load each other's code.
    ///
    /// These are wasmtime's version, its settings, and the processor's features.
    ///
    /// # Errors
    /// Returns [`RefusalCode::Unavailable`] if there is no engine on this machine.
    pub fn kind(bytes: usize) -> Result<u64, Refusal> {
        let mut hasher = DefaultHasher::new();
        for engine in Layout::all().map(|layout| engine(bytes, layout)).chain([uncounted()]) {
            engine.map_err(unavailable)?.precompile_compatibility_hash().hash(&mut hasher);
        }
        bytes.hash(&mut hasher);
        Ok(hasher.finish())
    }
}

/// Returns the row function of a core module.
///
/// # Errors
/// Returns a [`Refusal`] with the reason if there is no row function.
pub(super) fn row_function(module: &[u8], layout: Layout) -> Result<RowFunction, Refusal> {
    functions(module)?;
    prove(module, layout).map_err(|why| {
        refuse(format!("not a row function: {why}")).fix("For anything else make it a component of world tidegate:job")
    })
}

/// Builds the engine for a row function.
pub(super) fn engine_for(function: &RowFunction, bytes: usize, layout: Layout) -> Result<Engine, Refusal> {
    match function.proof {
        Proof::Bounded(_) => uncounted(),
        Proof::Stateless | Proof::Unproven(_) => engine(bytes, layout),
    }
    .map_err(unavailable)
}

/// Compiles a row function, or the driver; if fuel is counted, with fuel checks for its layout.
pub(super) fn compile_rows(engine: &Engine, module: &[u8], counted: Option<Layout>) -> Result<Module, Refusal> {
    let module = counted.map_or_else(|| Ok(module.into()), |layout| checked(module, layout).map(Cow::Owned))?;
    Module::from_binary(engine, &module).map_err(|e| refuse(format!("the module does not compile: {e:#}")))
}

fn unavailable(e: wasmtime::Error) -> Refusal {
    Refusal::new(RefusalCode::Unavailable, format!("the engine: {e:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: usize = 4 << 20;

    /// Kept code is taken up as it was; not with a bit changed, with another key, or for other engines.
    #[test]
    fn only_what_was_sealed_is_taken_up() {
        let code = Code::compile(&tidegate_fixtures::guest("heavy").unwrap(), MEMORY).unwrap();
        let mut sealed = code.seal(&[1; 32]);
        let again = Code::unseal(&sealed, &[1; 32]).unwrap();
        assert!(again.load(&engine(MEMORY, Layout::NEAR).unwrap()).is_ok());
        assert!(Code::unseal(&sealed, &[2; 32]).is_none());
        assert!(Code::unseal(&sealed[..10], &[1; 32]).is_none());
        *sealed.last_mut().unwrap() ^= 1;
        assert!(Code::unseal(&sealed, &[1; 32]).is_none());
        assert!(again.load(&engine(MEMORY, Layout::FAR).unwrap()).is_err(), "it would count another fuel");
        let other = wasmtime::Engine::default();
        assert!(again.load(&other).is_err(), "an engine without fuel would run it without fuel");
        assert_eq!(Code::kind(MEMORY).unwrap(), Code::kind(MEMORY).unwrap());
    }
}
