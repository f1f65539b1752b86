//! What the documents tell a reader to type exists.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Command;

fn help(command: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate")).args([command, "--help"]).output().unwrap();
    assert!(output.status.success(), "there is no `tidegate {command}`");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn commands_and_options_in_the_documents_exist() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut seen = 0;
    for document in ["README.md", "ARCHITECTURE.md", "SECURITY.md"] {
        let text = std::fs::read_to_string(folder.join(document)).unwrap();
        // Whole lines of code blocks, and code within a sentence.
        let lines =
            text.lines().filter(|l| l.starts_with("tidegate ")).chain(text.split('`').filter(|c| c.starts_with("tidegate ")));
        for line in lines {
            let words: Vec<&str> = line.split('#').next().unwrap().split_whitespace().skip(1).collect();
            let Some(command) = words.first().filter(|w| w.chars().all(|c| c.is_ascii_lowercase())) else { continue };
            let help = help(command);
            for option in words.iter().filter(|w| w.starts_with("--")) {
                assert!(help.contains(option), "{document}: `tidegate {command}` has no {option}");
            }
            seen += 1;
        }
    }
    assert!(seen > 8, "only {seen} commands were found: the test looks in the wrong place");
}
