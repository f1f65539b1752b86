//! WASI-NN, the component interface by which a guest has its model run (<https://github.com/WebAssembly/wasi-nn>,
//! `guest/wit/deps/nn`).
//!
//! There is only one model, the job's data. The guest passes only data of its own unit or block; it pays for a run by the
//! operations counted, and tensors held by the host for the guest are bounded like its memory.

mod held;
mod kinds;

use tidegate_protocol::ContentHash;
use wasmtime::{
    Result, StoreContextMut, bail,
    component::{Component, Linker, LinkerInstance, Resource, ResourceType},
};

pub(super) use held::Held;
use held::{Failed, Nn, Tensor, failed};
use kinds::{Encoding, ErrorCode, Kind, Target};

use super::host::Call;
use crate::onnx::{Column, Desk};

/// The package's only version.
pub(super) const VERSION: &str = "wasi:nn@0.2.0-rc-2024-10-28";
const INTERFACES: [&str; 4] = ["tensor", "errors", "inference", "graph"];

/// Maximum bytes passed in a call by a guest with a model: the tensors of a run.
pub(super) const HANDED: usize = 32 << 20;

/// Returns the name of an import's interface, if part of this package.
fn interface(import: &str) -> Option<&'static str> {
    let (package, version) = VERSION.split_once('@')?;
    let (name, of) = import.strip_prefix(package)?.strip_prefix('/')?.split_once('@')?;
    INTERFACES.iter().find(|known| of == version && **known == name).copied()
}

/// Returns whether an import is answered here.
pub(super) fn answered(import: &str) -> bool {
    interface(import).is_some()
}

/// Handle of the only model.
struct Graph;
struct Context;

type Store<'a> = StoreContextMut<'a, Call>;
type To<'a, 'b> = &'a mut LinkerInstance<'b, Call>;

/// Answers the imports of this package by `component`, which were checked before.
pub(super) fn add(linker: &mut Linker<Call>, component: &Component) -> Result<()> {
    let engine = component.engine().clone();
    for (import, _) in component.component_type().imports(&engine) {
        let Some(name) = interface(import) else { continue };
        let to = &mut linker.instance(import)?;
        handles(to)?;
        match name {
            "tensor" => tensor(to)?,
            "errors" => errors(to)?,
            "inference" => to.func_wrap("[method]graph-execution-context.compute", compute)?,
            _ => graph(to)?,
        }
    }
    Ok(())
}

fn held<'a>(store: &'a mut Store<'_>) -> Result<&'a mut Held> {
    match &mut store.data_mut().nn {
        Some(held) => Ok(held),
        None => bail!("there is no model"),
    }
}

/// Defines every kind of handle, since interfaces use handles of others.
fn handles(to: To<'_, '_>) -> Result<()> {
    to.resource("tensor", ResourceType::host::<Tensor>(), |mut store, rep| {
        held(&mut store)?.take(Resource::new_own(rep)).map(drop)
    })?;
    to.resource("error", ResourceType::host::<Failed>(), |mut store, rep| {
        Ok(held(&mut store)?.table.delete(Resource::<Failed>::new_own(rep)).map(drop)?)
    })?;
    to.resource("graph", ResourceType::host::<Graph>(), |_, _| Ok(()))?;
    to.resource("graph-execution-context", ResourceType::host::<Context>(), |_, _| Ok(()))
}

fn tensor(to: To<'_, '_>) -> Result<()> {
    to.func_wrap("[constructor]tensor", |mut store: Store<'_>, (dimensions, kind, data): (Vec<u32>, Kind, Vec<u8>)| {
        store.data_mut().pay((4 * dimensions.len() + data.len()) as u64)?;
        Ok((held(&mut store)?.put(Tensor { dimensions, kind, data })?,))
    })?;
    to.func_wrap("[method]tensor.dimensions", |mut store: Store<'_>, (this,): (Resource<Tensor>,)| {
        let dimensions = held(&mut store)?.table.get(&this)?.dimensions.clone();
        store.data_mut().pay(4 * dimensions.len() as u64)?;
        Ok((dimensions,))
    })?;
    to.func_wrap("[method]tensor.ty", |mut store: Store<'_>, (this,): (Resource<Tensor>,)| {
        Ok((held(&mut store)?.table.get(&this)?.kind,))
    })?;
    to.func_wrap("[method]tensor.data", |mut store: Store<'_>, (this,): (Resource<Tensor>,)| {
        // Nothing is copied for a guest that cannot pay.
        let bytes = held(&mut store)?.table.get(&this)?.data.len();
        store.data_mut().pay(bytes as u64)?;
        Ok((held(&mut store)?.table.get(&this)?.data.clone(),))
    })
}

fn errors(to: To<'_, '_>) -> Result<()> {
    to.func_wrap("[method]error.code", |mut store: Store<'_>, (this,): (Resource<Failed>,)| {
        Ok((held(&mut store)?.table.get(&this)?.code,))
    })?;
    to.func_wrap("[method]error.data", |mut store: Store<'_>, (this,): (Resource<Failed>,)| {
        let says = held(&mut store)?.table.get(&this)?.says.clone();
        store.data_mut().pay(says.len() as u64)?;
        Ok((says,))
    })
}

fn graph(to: To<'_, '_>) -> Result<()> {
    to.func_wrap("[method]graph.init-execution-context", |_: Store<'_>, (_,): (Resource<Graph>,)| {
        Ok((Nn::Ok(Resource::<Context>::new_own(0)),))
    })?;
    to.func_wrap("load", |mut store: Store<'_>, (parts, encoding, target): (Vec<Vec<u8>>, Encoding, Target)| {
        store.data_mut().pay(parts.iter().map(|part| part.len() as u64).sum())?;
        let held = held(&mut store)?;
        if !matches!(encoding, Encoding::Onnx | Encoding::Autodetect) {
            return Ok((held.fails::<Resource<Graph>>(failed(ErrorCode::InvalidEncoding, "the encoding is onnx"))?,));
        }
        // Any device will do if the CPU is named.
        if target == Target::Tpu || (target == Target::Gpu && !held.desk.model.on_gpu) {
            return Ok((held.fails(failed(ErrorCode::UnsupportedOperation, "there is no such device"))?,));
        }
        let known = parts.iter().flatten().eq(held.desk.model.data.iter());
        if !known {
            return Ok((held.fails(failed(ErrorCode::Security, "a model comes with the job, as its data"))?,));
        }
        Ok((Ok(Resource::new_own(0)),))
    })?;
    to.func_wrap("load-by-name", |mut store: Store<'_>, (name,): (String,)| {
        store.data_mut().owe(name.len());
        let held = held(&mut store)?;
        if name != "model" && name.parse::<ContentHash>().ok() != Some(held.desk.model.hash) {
            return Ok((held.fails::<Resource<Graph>>(failed(ErrorCode::NotFound, "the job's model has another hash"))?,));
        }
        Ok((Ok(Resource::new_own(0)),))
    })
}

type Named<T> = Vec<(String, T)>;
type Ask = (Resource<Context>, Named<Resource<Tensor>>);

fn compute(mut store: Store<'_>, (_, given): Ask) -> Result<(Nn<Named<Resource<Tensor>>>,)> {
    let held_here = held(&mut store)?;
    let given = given.into_iter().map(|(name, tensor)| Ok((name, held_here.take(tensor)?))).collect::<Result<Named<_>>>()?;
    let desk = held_here.desk.clone();
    let (rows, inputs) = match bound(&desk, given) {
        Ok(bound) => bound,
        Err(why) => return Ok((held_here.fails(why)?,)),
    };
    let bytes: usize = inputs.iter().map(Vec::len).sum();
    store.data_mut().pay(desk.model.fuel(rows).saturating_add(bytes as u64))?;
    let numbers = desk.compute(rows, inputs).map_err(|e| wasmtime::format_err!("{e}"))?;
    let data: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    store.data_mut().owe(data.len());
    let output = desk.model.output.clone();
    let tensor = Tensor { dimensions: desk.model.shape(rows), kind: Kind::Fp32, data };
    Ok((Ok(vec![(output, held(&mut store)?.put(tensor)?)]),))
}

/// Returns the number of rows, and the bytes of each input in the model's order.
fn bound(desk: &Desk, mut given: Named<Tensor>) -> std::result::Result<(u32, Vec<Vec<u8>>), Failed> {
    let wrong = |says: String| failed(ErrorCode::InvalidArgument, says);
    let columns = &desk.model.spec().inputs;
    if given.len() != columns.len() {
        return Err(wrong(format!("the model has {} inputs, {} were given", columns.len(), given.len())));
    }
    let mut all = Vec::with_capacity(columns.len());
    let mut rows = None;
    for column in columns {
        let at = given.iter().position(|(name, _)| *name == column.name);
        let (_, tensor) =
            given.swap_remove(at.ok_or_else(|| wrong(format!("the model's input {:?} was not given", column.name)))?);
        let many = fits(&tensor, column).map_err(|why| wrong(format!("input {:?}: {why}", column.name)))?;
        if *rows.get_or_insert(many) != many {
            return Err(wrong(format!("input {:?} has other rows than those before it", column.name)));
        }
        all.push(tensor.data);
    }
    match rows {
        None | Some(0) => Err(wrong("there are no rows".into())),
        Some(rows) if rows > desk.model.most() => {
            Err(failed(ErrorCode::TooLarge, format!("{rows} rows, {} are the most", desk.model.most())))
        }
        Some(rows) => Ok((rows, all)),
    }
}

/// Returns the number of rows, if the tensor is valid for the input.
fn fits(tensor: &Tensor, column: &Column) -> std::result::Result<u32, String> {
    if !tensor.kind.is(column.elem) {
        return Err(format!("{:?} is another type", tensor.kind));
    }
    let (rows, row) = tensor.dimensions.split_first().ok_or("it has no dimension of rows")?;
    if !row.iter().map(|n| u64::from(*n)).eq(column.row.iter().copied()) {
        return Err(format!("a row has the dimensions {:?}, the model takes {:?}", row, column.row));
    }
    if (*rows as usize).checked_mul(column.bytes()) != Some(tensor.data.len()) {
        return Err(format!("{} bytes are not {rows} rows", tensor.data.len()));
    }
    // TensorProto.DataType: truth values.
    if column.elem == 9 && tensor.data.iter().any(|b| *b > 1) {
        return Err("a truth value is 0 or 1".into());
    }
    Ok(*rows)
}
