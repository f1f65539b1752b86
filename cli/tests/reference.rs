//! The reference of commands is what the commands say of themselves: `docs/reference/cli.md`, which `UPDATE_REFERENCE=1` writes.

use std::{fmt::Write as _, path::Path};

use crate::{common::World, pipes::commands};

#[test]
fn the_reference_of_commands_is_what_they_say_of_themselves() {
    let world = World::new();
    let mut text = String::from(
        "# Commands\n\nThe help of `tidegate` and of each of its commands. Made from the program: `UPDATE_REFERENCE=1 cargo nextest run --workspace -E 'test(reference)'` writes it.\n",
    );
    for command in std::iter::once(vec![]).chain(commands(&world, &[])) {
        let words: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let name = ["tidegate"].into_iter().chain(command.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
        // Where a party's folder lies is this test's own.
        let help: String = world.ok("buyer", &words).lines().map(|line| format!("{}\n", without_home(line).trim_end())).collect();
        write!(text, "\n## `{name}`\n\n```text\n{}\n```\n", help.trim_end()).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/reference/cli.md");
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = there.lines().zip(text.lines()).find(|(a, b)| a != b);
    assert!(there == text, "docs/reference/cli.md is out of date: UPDATE_REFERENCE=1 writes it anew; first: {differs:?}");
}

/// A line of help without the folder that the environment names.
fn without_home(line: &str) -> String {
    match line.split_once("[env: TIDEGATE_HOME=") {
        Some((before, after)) => format!("{before}[env: TIDEGATE_HOME=]{}", after.split_once(']').map_or("", |(_, rest)| rest)),
        None => line.to_owned(),
    }
}
