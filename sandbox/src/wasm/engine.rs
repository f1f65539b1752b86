//! Engine settings: the semantics of a guest's code, and the memory of its instances.

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::prices::{Layout, prices};

/// Stack of a guest, in bytes.
const STACK: usize = 512 << 10;
/// Maximum core instances, memories and tables of a guest. A wrapped component has an instance or two of its own.
pub(super) const INSTANCES: u32 = 64;
pub(super) const MEMORIES: u32 = 8;
pub(super) const TABLES: u32 = 64;
/// Maximum elements of a table.
pub(super) const TABLE_ELEMENTS: usize = 10_000;
/// Maximum number of threads calling a guest, each with an instance at a time.
pub(super) const MOST_WAYS: usize = 8;
/// Bytes overwritten for the next instance in a memory left by another; the rest is given back.
///
/// For small guests this is faster than a fault per page.
const KEPT: usize = 256 << 10;

/// Returns the settings common to all engines.
fn deterministic() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .cranelift_nan_canonicalization(true)
        // SIMD, but not the relaxed kind with results left to the machine; threads are not built in.
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .max_wasm_stack(STACK)
        .async_stack_size(2 * STACK)
        .memory_init_cow(true);
    config
}

/// Builds an engine for functions with a proven bound, which does not count the instructions they execute.
pub(super) fn uncounted() -> wasmtime::Result<Engine> {
    Engine::new(&deterministic())
}

/// Builds a deterministic engine: same component, same rows, same numbers on every machine.
///
/// Its instances have slots of `bytes` of memory that are reserved once, and their memories begin as copy-on-write. The cost of
/// an instruction depends on the program's `layout`.
///
/// # Errors
/// Returns wasmtime's error if this machine cannot reserve so much memory.
pub fn engine(bytes: usize, layout: Layout) -> wasmtime::Result<Engine> {
    let ways = MOST_WAYS as u32;
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(ways)
        .total_core_instances(ways * INSTANCES)
        .max_core_instances_per_component(INSTANCES)
        .total_memories(ways * MEMORIES)
        .max_memories_per_component(MEMORIES)
        .max_memory_size(bytes)
        .total_tables(ways * TABLES)
        .max_tables_per_component(TABLES)
        .max_tables_per_module(TABLES)
        .table_elements(TABLE_ELEMENTS)
        .max_core_instance_size(1 << 20)
        .max_component_instance_size(1 << 20)
        // Calls run on the threads that make them.
        .total_stacks(1)
        .max_unused_warm_slots(ways * MEMORIES)
        .linear_memory_keep_resident(KEPT)
        .table_keep_resident(KEPT);
    let mut config = deterministic();
    config.consume_fuel(true).operator_cost(prices(layout)).allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config)
}
