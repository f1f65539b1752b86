//! Queries made of bytes, on a dataset of awkward people and on its neighbours: either refused, or no row makes them fail and no
//! unit moves a sum by more than the noise covers.
#[path = "../../sandbox/tests/common/queries.rs"]
mod made;
#[path = "../../sandbox/tests/common/neighbours.rs"]
mod neighbours;

thread_local! {
    static WORLD: neighbours::World = neighbours::World::new();
}

/// Runs an input.
pub fn run(bytes: &[u8]) {
    let query = made::query(&mut made::Choices::new(bytes));
    WORLD.with(|world| {
        let _ = world.run(&query);
    });
}
