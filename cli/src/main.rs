//! words
fn main() {}
