//! Nobody reads on: a command whose output is closed ends in silence, and in good order.

use std::{io::Read as _, os::unix::process::ExitStatusExt as _, process::Stdio};

use crate::common::World;

/// A command's exit status (or 128 and its signal), and what it said on the other stream, where the end that reads `stdout` or `stderr` is shut before it writes.
fn shut(world: &World, who: &str, words: &[&str], out: bool) -> (i32, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = world.command(who);
    command.args(words).env("RUST_BACKTRACE", "0");
    match out {
        true => command.stdout(writer).stderr(Stdio::piped()),
        // With much to say there.
        false => command.stderr(writer).stdout(Stdio::piped()).env("TIDEGATE_LOG", "debug"),
    };
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut said = String::new();
    match (child.stdout.take(), child.stderr.take()) {
        (Some(mut other), _) => other.read_to_string(&mut said).unwrap(),
        (_, Some(mut other)) => other.read_to_string(&mut said).unwrap(),
        _ => 0,
    };
    let status = child.wait().unwrap();
    (status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()), said)
}

#[test]
fn no_command_panics_where_nobody_reads_what_it_says() {
    let world = World::new();
    let node = world.serve(None);
    let (job, grant, out) = (world.count_job(), world.text("grant"), world.text("kept"));
    world.ok("buyer", &["run", &job, "--to", &node.address, "--grant", &grant, "--out", &out]);
    let (data, policy) = (world.text("data.csv"), world.text("policy.toml"));
    let commands: [(&str, &[&str]); 19] = [
        ("buyer", &["--help"]),
        ("buyer", &["run", "--help"]),
        ("buyer", &["--version"]),
        ("buyer", &["list", "--to", &node.address]),
        ("buyer", &["list", "--to", &node.address, "--json"]),
        ("buyer", &["results", "list"]),
        ("buyer", &["results", "list", "--json"]),
        ("buyer", &["audit", &out]),
        ("buyer", &["audit", "--peer", &node.address, "--json"]),
        ("buyer", &["check", &job, "--rows", &data, "--policy", &policy]),
        ("buyer", &["rehearse", &job, "--mock", &data, "--policy", &policy]),
        ("buyer", &["run", &job, "--to", &node.address, "--grant", &grant, "--again"]),
        ("buyer", &["doctor"]),
        ("owner", &["log", "fsck"]),
        ("owner", &["receipts", "list"]),
        ("owner", &["budget"]),
        ("owner", &["grants"]),
        ("owner", &["survey", &data, "--policy", &policy]),
        ("owner", &["nothing of the kind"]),
    ];
    for (who, words) in commands {
        for out in [true, false] {
            let (code, said) = shut(&world, who, words, out);
            assert!(!said.contains("panicked") && matches!(code, 0 | 1 | 2 | 141), "{words:?}, {out}: {code}: {said}");
        }
    }
    assert_eq!(shut(&world, "buyer", &["results", "list"], true), (141, String::new()), "as if by SIGPIPE");
}

/// The commands below `of`, as its help lists them, with those below them.
pub(crate) fn commands(world: &World, of: &[String]) -> Vec<Vec<String>> {
    let words: Vec<&str> = of.iter().map(String::as_str).chain(["--help"]).collect();
    let help = world.ok("buyer", &words);
    // The whole program's are in groups.
    let listed = help.split_once("\nCommands:\n").map_or(if of.is_empty() { help.as_str() } else { "" }, |(_, listed)| listed);
    let listed = listed.split_once("Options:").map_or(listed, |(listed, _)| listed);
    let names = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help" && !name.starts_with('-') && name.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
    names
        .flat_map(|name| {
            let command = [of, &[name.to_owned()]].concat();
            let below = commands(world, &command);
            std::iter::once(command).chain(below).collect::<Vec<_>>()
        })
        .collect()
}

/// Whatever the command: its help, and what it says of an option that it does not have.
#[test]
fn every_command_ends_well_where_nobody_reads_its_help_or_its_errors() {
    let world = World::new();
    let all = commands(&world, &[]);
    assert!(all.len() > 40 && all.iter().any(|command| command == &["grant", "show"]), "{all:?}");
    for command in all {
        for more in ["--help", "--no-such-option"] {
            let words: Vec<&str> = command.iter().map(String::as_str).chain([more]).collect();
            for out in [true, false] {
                let (code, said) = shut(&world, "buyer", &words, out);
                assert!(!said.contains("panicked") && matches!(code, 0 | 2 | 141), "{words:?}, {out}: {code}: {said}");
            }
        }
    }
}

/// What shells and `man` read is made of the commands themselves, and each program that is here to read it takes it.
#[test]
fn completions_and_manual_pages_are_taken_by_their_readers() {
    let world = World::new();
    let run = |program: &str, words: &[&str], input: &str| {
        let file = world.text("script");
        std::fs::write(&file, input).unwrap();
        let words = words.iter().map(|word| if *word == "FILE" { file.as_str() } else { word });
        std::process::Command::new(program).args(words).output()
    };
    for (shell, program, words) in
        [("bash", "bash", &["-n", "FILE"][..]), ("zsh", "zsh", &["-n", "FILE"]), ("fish", "fish", &["-n", "FILE"])]
    {
        let script = world.ok("buyer", &["completions", shell]);
        assert!(script.contains("rehearse"), "{shell}");
        match run(program, words, &script) {
            Ok(read) => assert!(read.status.success(), "{shell}: {}", String::from_utf8_lossy(&read.stderr)),
            Err(e) => println!("the completions of {shell} are not read: {e}"),
        }
    }
    let folder = world.text("man");
    world.ok("buyer", &["man", &folder]);
    let pages: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|page| page.unwrap().path()).collect();
    assert!(pages.len() > 40 && pages.iter().any(|page| page.ends_with("tidegate-grant-show.1")), "{pages:?}");
    let page = std::fs::read_to_string(pages.iter().find(|page| page.ends_with("tidegate-run.1")).unwrap()).unwrap();
    assert!(page.contains(".SH SYNOPSIS") && page.contains("epsilon"), "{page}");
}
