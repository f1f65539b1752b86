//! Queries made of bytes, on a dataset of awkward people and on its neighbours: refused, or no row makes them fail and no unit moves a sum by more than the
//! noise is for.
#![no_main]

#[path = "../../sandbox/tests/common/neighbours.rs"]
mod neighbours;
#[path = "../../sandbox/tests/common/queries.rs"]
mod queries;

use libfuzzer_sys::fuzz_target;

thread_local! {
    static WORLD: neighbours::World = neighbours::World::new();
}

fuzz_target!(|bytes: &[u8]| {
    let query = queries::query(&mut queries::Choices(bytes));
    WORLD.with(|world| {
        let _ = world.run(&query);
    });
});
