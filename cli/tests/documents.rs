//! What the documents tell a reader to type exists.

use std::process::Command;

fn help(command: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate")).args(command).arg("--help").output().unwrap();
    assert!(output.status.success(), "there is no `tidegate {}`", command.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

/// The documents for people: those at the root, and all below `docs/`.
fn documents() -> Vec<std::path::PathBuf> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    let mut folders = vec![root.join("docs")];
    let is_markdown = |path: &std::path::Path| path.extension().is_some_and(|e| e == "md");
    found.extend(std::fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).filter(|path| is_markdown(path)));
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if is_markdown(&path) {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 10, "{found:?}");
    found
}

#[test]
fn commands_and_options_in_the_documents_exist() {
    let mut known = std::collections::HashMap::new();
    let mut help = |command: &[&str]| known.entry(command.join(" ")).or_insert_with(|| help(command)).clone();
    let mut seen = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        // Whole lines of code blocks, and code within a sentence.
        let in_blocks = text.lines().map(|l| l.strip_prefix("$ ").unwrap_or(l)).filter(|l| l.starts_with("tidegate "));
        for line in in_blocks.chain(text.split('`').filter(|c| c.starts_with("tidegate "))) {
            let words: Vec<&str> = line.split('#').next().unwrap().split_whitespace().skip(1).collect();
            // Options of all commands may come first.
            let after = words.iter().position(|word| !word.starts_with('-') && !word.contains('$') && !word.contains('/'));
            let words = &words[after.unwrap_or(0)..];
            let Some(command) = words.first().filter(|w| w.chars().all(|c| c.is_ascii_lowercase())) else { continue };
            let mut text = help(&[command]);
            if let Some(second) = words.get(1).filter(|w| text.contains(&format!("\n  {w} "))) {
                text.push_str(&help(&[command, second]));
            }
            for option in words.iter().filter_map(|w| w.strip_prefix("--")) {
                let option: String = option.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
                assert!(text.contains(&format!("--{option}")), "{}: `tidegate {command}` has no --{option}", document.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 60, "only {seen} commands were found: the test looks in the wrong place");
}

/// Files that the documents name are there.
#[test]
fn files_in_the_documents_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut seen = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|link| !link.contains("://"));
        let links = links.filter_map(|link| link.split('#').next()).filter(|link| !link.is_empty());
        let named = text.split('`').skip(1).step_by(2).filter(|code| {
            !code.contains([' ', '*', '…', '{', '<'])
                && code.split_once('/').is_some_and(|(room, _)| !room.is_empty() && root.join(room).join("Cargo.toml").is_file())
        });
        let here = document.parent().unwrap();
        for path in links.map(|link| here.join(link)).chain(named.map(|path| root.join(path))) {
            assert!(path.exists(), "{} names {}, which is not there", document.display(), path.display());
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} files were found: the test looks in the wrong place");
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
