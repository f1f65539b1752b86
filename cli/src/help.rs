//! Help of the whole program: its commands, grouped by who uses them.

use std::fmt::Write as _;

use clap::Command;

/// Groups of commands, and in each the most used first.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Buyer", &["run", "list", "check", "rehearse", "new", "results", "catalog", "inspect", "fetch"]),
    (
        "Owner",
        &[
            "publish",
            "serve",
            "grant",
            "budget",
            "policy",
            "receipts",
            "survey",
            "grants",
            "revoke",
            "pending",
            "approve",
            "deny",
            "jobs",
            "retire",
            "quarantine",
            "log",
            "leases",
            "seal",
        ],
    ),
    ("Auditor and witness", &["audit", "replay", "revocations", "witness"]),
    ("Mirror and replica", &["mirror", "hold"]),
    ("This party and machine", &["init", "id", "doctor", "ping", "peers", "network", "gate", "completions", "man"]),
];

/// Replaces the one list of commands in the help of `program` by a list for each group.
pub(crate) fn grouped(program: Command) -> Command {
    let commands: Vec<&Command> = program.get_subcommands().collect();
    let width = commands.iter().map(|command| command.get_name().len()).max().unwrap_or_default();
    let mut listed = String::new();
    for (group, names) in GROUPS {
        // Writing to a text does not fail.
        let _ = writeln!(listed, "{group}:");
        for name in names {
            let about = commands.iter().find(|command| command.get_name() == *name).and_then(|command| command.get_about());
            let _ = writeln!(listed, "  {name:width$}  {}", about.map(ToString::to_string).unwrap_or_default());
        }
        listed.push('\n');
    }
    program.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{listed}Options:\n{{options}}\n\n`tidegate COMMAND --help` says more."
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let program = crate::Cli::command();
        let shown = program.get_subcommands().filter(|command| !command.is_hide_set()).map(Command::get_name);
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        assert_eq!(grouped.len(), grouped.iter().collect::<BTreeSet<_>>().len());
        assert_eq!(shown.collect::<BTreeSet<_>>(), grouped.into_iter().collect::<BTreeSet<_>>());
    }
}
