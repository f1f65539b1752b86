//! The engine: what a guest's code means, and where its instances live.

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::prices::{Layout, prices};

/// Stack of a guest in bytes.
const STACK: usize = 512 << 10;
/// Core instances, memories and tables of one guest. A component that was wrapped has an instance or two of its own.
pub(super) const INSTANCES: u32 = 64;
pub(super) const MEMORIES: u32 = 8;
pub(super) const TABLES: u32 = 64;
/// Elements of a table.
pub(super) const TABLE_ELEMENTS: usize = 10_000;
/// Most threads that call a guest, each with an instance at a time.
pub(super) const MOST_WAYS: usize = 8;
/// Of a memory that an instance leaves, so many bytes are overwritten for the next one, and the rest is given back: for small guests quicker than a fault a page.
const KEPT: usize = 256 << 10;

/// What all engines have in common.
fn deterministic() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .cranelift_nan_canonicalization(true)
        // SIMD, but not the kind whose results are left to the machine; threads are not built in.
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .max_wasm_stack(STACK)
        .async_stack_size(2 * STACK)
        .memory_init_cow(true);
    config
}

/// An engine for functions that are proven to have a bound: it does not count what they execute.
pub(super) fn uncounted() -> wasmtime::Result<Engine> {
    Engine::new(&deterministic())
}

/// A deterministic engine: same component, same rows, same numbers on every machine. Its instances have slots of `bytes` of memory that are set aside once,
/// and their memories begin as copies on write. What an instruction costs depends on the program's `layout`.
///
/// # Errors
/// Those of wasmtime, where this machine cannot set so much aside.
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
