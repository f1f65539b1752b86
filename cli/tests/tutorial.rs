//! The tutorial does what it says: its commands run in one shell, end as they should, and print what stands below them.

use std::{path::Path, process::Command};

/// A command, and the lines that it prints.
struct Step {
    command: String,
    printed: Vec<String>,
}

/// The commands of a document's `console` blocks.
fn steps(document: &Path) -> Vec<Step> {
    let text = std::fs::read_to_string(document).unwrap();
    let blocks = text.split("```console\n").skip(1).map(|rest| rest.split("\n```").next().unwrap());
    let mut steps: Vec<Step> = Vec::new();
    for line in blocks.flat_map(str::lines) {
        match line.strip_prefix("$ ") {
            Some(command) => steps.push(Step { command: command.to_owned(), printed: vec![] }),
            None => steps.last_mut().unwrap().printed.push(line.to_owned()),
        }
    }
    steps
}

/// The words of a line, with one for all that differ in each run: numbers, ids, times, paths and lines of tables.
fn words(line: &str) -> Vec<&str> {
    let own = |word: &str| word.chars().any(|c| c.is_ascii_digit() || "/│┆═─┌└╞".contains(c)) || word.starts_with("did:key");
    if line.trim_start().starts_with('│') {
        // A cell is one word: beside its numbers may stand that they say too little.
        return line.split(['│', '┆']).map(str::trim).map(|cell| if own(cell) { "#" } else { cell }).collect();
    }
    // What follows a name of a party or an id is of no length that is sure.
    line.split_whitespace().map(|word| if own(word) { "#" } else { word }).collect()
}

/// Whether a line was printed as the document has it; `…` stands for the rest.
fn is_said(expected: &str, printed: &str) -> bool {
    let (shown, rest) = expected.split_once('…').map_or((expected, false), |(shown, _)| (shown, true));
    let (mut shown, printed) = (words(shown), words(printed));
    if rest && !expected.split('…').next().unwrap().ends_with(' ') {
        // A word that is cut.
        shown.pop();
    }
    let name = |word: &str| {
        let word = word.trim_end_matches(':');
        word.len() == 8 && word.chars().all(|c| c.is_ascii_alphanumeric())
    };
    let same = |(a, b): (&&str, &&str)| a == b || *a == "#" && name(b) || name(a) && *b == "#" || name(a) && name(b);
    (rest || shown.len() == printed.len()) && shown.len() <= printed.len() && shown.iter().zip(&printed).all(same)
}

#[test]
fn the_tutorial_does_what_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let steps = steps(&root.join("docs/tutorial.md"));
    assert!(steps.len() > 20, "{}", steps.len());
    let dir = tempfile::tempdir().unwrap();
    let marked = |(number, step): (usize, &Step)| format!("{}\necho \"@@{number} $?\"\n", step.command);
    let script: String = steps.iter().enumerate().map(marked).collect();
    let programs = Path::new(env!("CARGO_BIN_EXE_tidegate")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let shell = Command::new("bash")
        .args(["-c", &format!("exec 2>&1\n{script}")])
        .env("PATH", path)
        .env("TMPDIR", dir.path())
        .env_remove("TIDEGATE_HOME")
        .env_remove("COLUMNS")
        .current_dir(root)
        .output()
        .unwrap();
    let said = String::from_utf8(shell.stdout).unwrap();
    let mut rest = said.as_str();
    for (number, step) in steps.iter().enumerate() {
        let mark = format!("@@{number} ");
        let (printed, after) = rest.split_once(&mark).unwrap_or_else(|| panic!("{} did not end:\n{rest}", step.command));
        let (status, after) = after.split_once('\n').unwrap();
        rest = after;
        let refused = step.printed.first().is_some_and(|line| line.starts_with("reject:") || line.starts_with("error:"));
        assert_eq!(status, if refused { "1" } else { "0" }, "{}:\n{printed}", step.command);
        let mut lines = printed.lines();
        for expected in step.printed.iter().filter(|line| line.trim() != "…") {
            assert!(lines.any(|line| is_said(expected, line)), "{}: {expected:?} is not in\n{printed}", step.command);
        }
    }
}
