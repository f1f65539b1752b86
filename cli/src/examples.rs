//! Examples at the end of each command's help.

use clap::Command;

/// Example of a command.
struct Example {
    /// Words of the command after `tidegate`.
    command: &'static str,
    /// What the line below does.
    does: &'static str,
    /// Line to type, without `tidegate` and the command's own words.
    line: &'static str,
}

const fn example(command: &'static str, does: &'static str, line: &'static str) -> Example {
    Example { command, does, line }
}

/// Key of a buyer, in examples.
macro_rules! key {
    () => {
        "did:key:z6MkwSLsxEv833k8W7Jfj5QxmwF7ofxgdNUGNngtQiN7F7vS"
    };
}

/// Dataset lineage, in examples.
macro_rules! population {
    () => {
        "b7100c37657902cab5ea7fbce528683f8d4abec98610467581079ea3e89b4d34"
    };
}

/// An example for each command that does something by itself, in the order of the program's help.
const EXAMPLES: [Example; 72] = [
    example(
        "run",
        "Ask a job of the peer named clinic, and keep result and receipt for an auditor.",
        "count.toml --to clinic --grant buyer.grant --out results",
    ),
    example("list", "Show what a peer offers to the holder of a grant.", "--to clinic --grant buyer.grant"),
    example(
        "check",
        "Show verdict, price and noise of a query, before it is paid for.",
        "--sql \"SELECT COUNT(*) FROM dataset\" --epsilon 0.5 --to clinic",
    ),
    example("rehearse", "Run a job on the owner's mock rows.", "count.toml --to clinic"),
    example("new job", "Create a folder with a job in Rust, and how to build it.", "visits --lang rust"),
    example("new policy", "Write a policy to begin with.", "policy.toml"),
    example("results list", "List what was asked, the oldest first.", ""),
    example("results show", "Show a result again, verified again.", "5d52a5a530ed"),
    example("results export", "Write a result's table to a file for other tools.", "5d52a5a530ed --out visits.csv"),
    example("results fetch", "Get an answer that was paid for and did not come.", "5d52a5a530ed"),
    example("catalog search", "Find datasets with both words.", "heart failure"),
    example("catalog show", "Show a dataset's columns, bounds and prices.", "rand-hie"),
    example("catalog sql", "Find datasets that have a column.", "\"SELECT DISTINCT name FROM listings WHERE column = 'age'\""),
    example("catalog sync", "Fetch the listings that a peer has.", "--from clinic"),
    example("catalog export", "Write a listing that other tools read.", "rand-hie --croissant --out rand-hie.json"),
    example("catalog history", "Show the versions of a peer's dataset.", "rand-hie --to clinic"),
    example("catalog diff", "Compare a version, by its id, with the newest.", "83e59fc08102 rand-hie --to clinic"),
    example("catalog import", "Take in a listing that came as a file.", "rand-hie.json"),
    example("inspect", "Show what a program imports, and whether an owner could admit it.", "program.wasm"),
    example("fetch", "Copy a dataset's files to a folder.", "rand-hie --to clinic --grant copy.grant --out data"),
    example(
        "publish",
        "Publish a file, with mock rows that anybody may have.",
        "visits.parquet --name visits --unit person --policy policy.toml --mock mock.parquet",
    ),
    example("serve", "Answer jobs on a fixed port of all interfaces.", "--listen 0.0.0.0:4433"),
    example(
        "grant",
        "Allow a buyer jobs of at most ρ = 0.1 each.",
        concat!("rand-hie --to ", key!(), " --rho 0.1 --out buyer.grant"),
    ),
    example(
        "grant narrow",
        "Pass a grant on to a colleague, for jobs of at most ρ = 0.01 each.",
        concat!("buyer.grant --to ", key!(), " --rho 0.01 --out colleague.grant"),
    ),
    example("grant show", "Show what a grant allows.", "buyer.grant"),
    example("budget", "Show what was spent, in all and by buyer.", ""),
    example("policy suggest", "Begin a policy from the columns of a file.", "visits.csv --unit person --out policy.toml"),
    example("policy check", "Check a policy, and show what its budget buys.", "policy.toml"),
    example("receipts list", "List the entries of this party's log.", ""),
    example("receipts show", "Show entry 4 as JSON.", "4"),
    example("receipts parties", "Open the names of parties for an auditor.", ""),
    example("receipts sql", "Sum what each buyer spent.", "\"SELECT buyer, SUM(rho) FROM receipts GROUP BY buyer\""),
    example(
        "survey",
        "Show how many rows a policy lets count, before files are published.",
        "visits.parquet --policy policy.toml",
    ),
    example("grants", "List the grants issued.", ""),
    example("revoke", "Revoke a grant, by the file with its token.", "buyer.grant"),
    example("pending", "Show the jobs that wait for approval.", ""),
    example("approve", "Approve the exact result of a waiting job.", "f7d0ae1dff31"),
    example("deny", "Deny a waiting job.", "f7d0ae1dff31"),
    example("jobs list", "Show the running and the waiting jobs.", ""),
    example("jobs stop", "Stop a job that takes too long.", "f7d0ae1dff31"),
    example("jobs close", "Close a charged job that cannot be finished.", "f7d0ae1dff31"),
    example("retire", "Withdraw a version, and remove the copy of its rows.", "83e59fc08102 --erase"),
    example("quarantine list", "Show what is not run after failures.", ""),
    example("quarantine lift", "Let a program run again.", "d2e2b24137af"),
    example("log fsck", "Check the files of this party's log.", ""),
    example("log key", "Show the key that verifies this party's log.", ""),
    example("log bundle", "Write the whole log to a file for an auditor.", "log.tar"),
    example("log restore", "Restore entries from a copy that an auditor kept.", "--from copy"),
    example("leases", "Show the parts of budgets handed over.", ""),
    example("seal", "Encrypt a dataset for mirrors.", "rand-hie"),
    example("audit", "Check a peer's whole log, and keep a copy of it.", "--peer clinic --keep results"),
    example(
        "replay",
        "Run the job of entry 4 again, over a copy of the rows.",
        "4 --to clinic --grant auditor.grant --data data",
    ),
    example(
        "revocations",
        "Show an owner's list of revoked grants, and compare it with the owner's log.",
        "--to clinic --against clinic",
    ),
    example("witness", "Witness an owner's log, on a fixed port.", concat!("--for ", key!(), " --listen 0.0.0.0:4434")),
    example("mirror keep", "Begin to hold an owner's encrypted dataset.", "--to clinic --grant mirror.grant"),
    example("mirror serve", "Serve the held datasets on a fixed port.", "--listen 0.0.0.0:4435"),
    example("mirror list", "Show the held datasets.", ""),
    example("mirror drop", "Stop holding a dataset.", population!()),
    example(
        "hold begin",
        "Answer jobs over an owner's dataset, with its files here.",
        "rand-hie --to clinic --grant hold.grant --data data",
    ),
    example("hold list", "Show the held datasets.", ""),
    example("hold drop", "Stop answering jobs over a dataset.", population!()),
    example("init", "Create this party's key, in a folder of its own.", "--home ~/.tidegate-owner"),
    example("id", "Show this party's key, for others to grant access to.", ""),
    example("doctor", "Examine this machine.", ""),
    example("ping", "Ask once whether a peer is there.", "clinic --times 1"),
    example("peers", "Show the address book.", ""),
    example("peers add", "Call a key clinic.", concat!("clinic ", key!(), "@192.0.2.7:4433")),
    example("peers remove", "Forget a name.", "clinic"),
    example("network", "Be found on the local network.", "--local on"),
    example(
        "gate sample",
        "Draw a job's noise 1000 times, on data of one's own.",
        "count.toml --data rows.csv --policy policy.toml",
    ),
    example("completions", "Print the completions of bash.", "bash"),
    example("man", "Write the manual pages to a folder.", "man1"),
];

impl Example {
    /// Returns the whole line.
    fn typed(&self) -> String {
        format!("tidegate {} {}", self.command, self.line).trim_end().to_owned()
    }

    fn help(&self) -> String {
        format!("Example: {}\n  {}", self.does, self.typed())
    }
}

/// Puts each command's example at the end of its help.
pub(crate) fn with_examples(program: Command) -> Command {
    with(program, "")
}

/// Puts its example at the end of the help of the command of these `words`, and of each one below.
fn with(command: Command, words: &str) -> Command {
    let command = match EXAMPLES.iter().find(|example| example.command == words) {
        Some(example) => command.after_help(example.help()),
        None => command,
    };
    command.mut_subcommands(|below| {
        let words = format!("{words} {}", below.get_name());
        with(below, words.trim())
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// The commands that do something by themselves, and what their help ends with.
    fn endings(command: &Command, words: &str, found: &mut Vec<(String, String)>) {
        let below: Vec<_> = command.get_subcommands().filter(|one| !one.is_hide_set() && one.get_name() != "help").collect();
        if !words.is_empty() && !command.is_subcommand_required_set() {
            found.push((words.to_owned(), command.get_after_help().map(ToString::to_string).unwrap_or_default()));
        }
        for one in below {
            endings(one, format!("{words} {}", one.get_name()).trim(), found);
        }
    }

    #[test]
    fn every_command_ends_with_an_example_that_it_takes() {
        let program = || with_examples(crate::Cli::command());
        let mut found = Vec::new();
        endings(&program(), "", &mut found);
        assert_eq!(found.len(), EXAMPLES.len(), "{found:?}");
        for (command, ending) in found {
            let mut lines = ending.lines();
            assert!(lines.next().is_some_and(|line| line.starts_with("Example: ") && line.ends_with('.')), "{command}: {ending}");
            let line = lines.next().unwrap_or_else(|| panic!("{command} has no example"));
            let words = shlex::split(line.trim()).unwrap();
            let read = program().try_get_matches_from(&words).unwrap_or_else(|e| panic!("{line}: {e}"));
            let (mut at, mut read) = (Vec::new(), &read);
            while let Some((name, below)) = read.subcommand() {
                at.push(name);
                read = below;
            }
            assert_eq!(at.join(" "), command, "{line}");
            assert_eq!(lines.next(), None, "{command}: {ending}");
        }
    }
}
