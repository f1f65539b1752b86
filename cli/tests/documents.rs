//! What the documents tell a reader to type exists.

use std::process::Command;

fn help(command: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate")).args(command).arg("--help").output().unwrap();
    assert!(output.status.success(), "there is no `tidegate {}`", command.join(" "));
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
            let mut text = help(&[command]);
            if let Some(second) = words.get(1).filter(|w| text.contains(&format!("\n  {w} "))) {
                text.push_str(&help(&[command, second]));
            }
            let help = text;
            for option in words.iter().filter(|w| w.starts_with("--")) {
                assert!(help.contains(option), "{document}: `tidegate {command}` has no {option}");
            }
            seen += 1;
        }
    }
    assert!(seen > 8, "only {seen} commands were found: the test looks in the wrong place");
}

/// Files that the documents name are there.
#[test]
fn files_in_the_documents_exist() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut seen = 0;
    for document in ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        let text = std::fs::read_to_string(folder.join(document)).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|link| !link.contains("://"));
        let named = text.split('`').skip(1).step_by(2).filter(|code| {
            !code.contains([' ', '*']) && code.split_once('/').is_some_and(|(room, _)| folder.join(room).is_dir())
        });
        for path in links.chain(named) {
            assert!(folder.join(path).exists(), "{document} names {path}, which is not there");
            seen += 1;
        }
    }
    assert!(seen > 25, "only {seen} files were found: the test looks in the wrong place");
}

/// What a person is told to `make` can be made.
#[test]
fn make_targets_in_the_documents_exist() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let makefile = std::fs::read_to_string(folder.join("Makefile")).unwrap();
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", ".ci/run"] {
        let text = std::fs::read_to_string(folder.join(document)).unwrap();
        let lines = text.lines().filter_map(|l| l.strip_prefix("make ").or(l.strip_prefix("exec make ")));
        let targets = lines.map(|l| l.split('#').next().unwrap()).chain(text.split('`').filter_map(|c| c.strip_prefix("make ")));
        for target in targets.flat_map(str::split_whitespace) {
            assert!(makefile.lines().any(|l| l.starts_with(&format!("{target}:"))), "{document}: no `make {target}`");
        }
    }
}
