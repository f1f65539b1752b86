//! `tidegate policy suggest`: a policy from the columns of files, without anything of their rows but the columns' types.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use tidegate_catalog::dataset::{self, DataError, TableFiles};
use tidegate_node::{buyer::results, kind_of_manifest};
use tidegate_protocol::{
    limits,
    policy::{ColumnRule, Policy, PolicyFile},
    shown,
};

use crate::{commands::new::POLICY, file};

/// Maximum number of column names listed in an error.
const LISTED: usize = 40;

/// Place for rules of reading, in an error about files that cannot be read without them.
const TO_READ: &str = "to the policy that `tidegate new policy FILE` writes, under [read], in place of a suggestion:";

/// Comment above the suggested columns.
const ABOVE: &str = r#"
# Columns that jobs may see: leave out what they need not. Numbers need public bounds to be summed, as { lo = 0, hi = 110 };
# { chars = 64 } cuts longer texts, and lets more queries fit the slot. Names and types of columns are all that is from the files.
# Buyers see this policy: bounds copied from the data leak something about extreme persons, such as the highest income.
"#;

/// Options of `tidegate policy suggest`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files to be published: any that `tidegate publish` takes; of several tables, TABLE=FILE for each.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Column that says whose row it is.
    #[arg(long, value_name = "COLUMN")]
    unit: String,
    /// Write the policy to this file instead of showing it.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Write over an existing file.
    #[arg(long, requires = "out")]
    force: bool,
}

/// Table of the files.
struct Table {
    /// Name of the table, if there are several tables.
    name: Option<String>,
    /// Columns in the files' order, without the unit's.
    columns: Vec<String>,
}

impl Table {
    /// Returns a column's name in the policy.
    fn full(&self, column: &str) -> String {
        match &self.name {
            Some(table) => format!("{table}.{column}"),
            None => column.to_owned(),
        }
    }
}

/// Type of a column.
struct Kind {
    /// Name in SQL.
    word: String,
    /// Whether the column can be summed, once it has bounds.
    is_number: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(out) = &args.out {
        results::can_write(out, args.force).map_err(|e| file::of("--out", &e))?;
    }
    let text = suggested(&args.files, &args.unit)?;
    match &args.out {
        None => println!("{}", text.trim_end()),
        Some(out) => {
            file::write("--out", out, &text)?;
            println!(
                "wrote {}: add the public bounds of columns. `tidegate policy check {}` shows what the policy allows and what its budget is enough for",
                out.display(),
                out.display()
            );
        }
    }
    Ok(())
}

/// Returns the policy for these files.
fn suggested(files: &[PathBuf], unit: &str) -> anyhow::Result<String> {
    let mut policy = read(POLICY)?;
    policy.unit.column = unit.to_owned();
    policy.tables = named_tables(files);
    policy.columns.clear();
    let found = dataset::tables(files, &policy)?;
    let mut tables = Vec::new();
    for files in &found {
        tables.push(Table { name: files.table.clone(), columns: columns(files, unit)? });
    }
    for table in &tables {
        policy.columns.extend(table.columns.iter().map(|column| (table.full(column), ColumnRule::default())));
    }
    if policy.columns.is_empty() {
        anyhow::bail!("the files have no column besides {unit:?}: give files with a column that jobs can use");
    }
    let text = written(unit, &tables, &kinds(&found, &mut policy)?);
    // What is suggested can be published under.
    read(&text)?;
    Ok(text)
}

/// Reads a policy's text, and checks it as before publication.
fn read(text: &str) -> anyhow::Result<Policy> {
    Ok(PolicyFile::parse(text)?.check(|epsilon, delta| tidegate_gate::rho_of(epsilon, delta).ok())?)
}

/// Returns the tables named in `TABLE=FILE`; a path that exists is a file, whatever its name.
fn named_tables(files: &[PathBuf]) -> Vec<String> {
    let named = files.iter().filter(|path| !path.exists()).filter_map(|path| path.to_str()?.split_once('='));
    let names: BTreeSet<String> = named.map(|(table, _)| table.to_owned()).collect();
    names.into_iter().collect()
}

/// Returns the columns of a table's files and folders that a policy can name, without the unit's.
fn columns(table: &TableFiles, unit: &str) -> anyhow::Result<Vec<String>> {
    let (mut names, mut seen) = (Vec::new(), BTreeSet::new());
    for (path, name) in table.files.iter().zip(&table.names) {
        let folders = name.rsplit_once('/').map_or("", |(folders, _)| folders);
        let of_folders = folders.split('/').filter_map(|folder| folder.split_once('=')).map(|(column, _)| column.to_owned());
        let of_file = dataset::names(path, &[unit.to_owned()]).map_err(|e| e.said_of(TO_READ))?;
        for column in of_file.into_iter().chain(of_folders) {
            if seen.insert(column.clone()) {
                names.push(column);
            }
        }
    }
    if !seen.contains(unit) {
        let near = names.iter().find(|name| name.trim().eq_ignore_ascii_case(unit.trim()));
        let perhaps = near.map(|name| format!(" Perhaps it is {}.", shown::plain(name))).unwrap_or_default();
        let listed: Vec<_> = names.iter().take(LISTED).map(|name| shown::plain(name)).collect();
        let more = if names.len() > LISTED { ", …" } else { "" };
        let whose = table.table.as_ref().map_or("the files".to_owned(), |table| format!("the files of table {table}"));
        anyhow::bail!(
            "--unit {}: {whose} have no such column.{perhaps} They have {}{more}. Give the column that identifies the privacy unit of each row",
            shown::plain(unit),
            listed.join(", ")
        );
    }
    names.retain(|name| name != unit && !name.is_empty() && name.len() <= limits::NAME_BYTES);
    Ok(names)
}

/// Returns the types of the policy's columns, as publication would read them. Unreadable columns are taken out of `policy`.
fn kinds(tables: &[TableFiles], policy: &mut Policy) -> anyhow::Result<BTreeMap<String, Kind>> {
    loop {
        let e = match dataset::schema(tables, policy) {
            Err(e) => e,
            Ok(schema) => {
                let kinds = schema.fields().iter().map(|field| {
                    let word = kind_of_manifest(&field.data_type().to_string());
                    let is_number = field.data_type().is_numeric() || word == "BOOLEAN";
                    (field.name().clone(), Kind { word, is_number })
                });
                return Ok(kinds.collect());
            }
        };
        let before = policy.columns.len();
        for column in at_fault(&e) {
            policy.columns.remove(column);
        }
        if policy.columns.len() == before || policy.columns.is_empty() {
            return Err(e.said_of(TO_READ).into());
        }
    }
}

/// Returns the columns that an error is about.
fn at_fault(e: &DataError) -> Vec<&str> {
    match e {
        DataError::Column { column, .. } => vec![column.as_str()],
        DataError::Columns(all) => all.iter().flat_map(at_fault).collect(),
        _ => vec![],
    }
}

/// Writes the template's rules and these columns.
fn written(unit: &str, tables: &[Table], kinds: &BTreeMap<String, Kind>) -> String {
    let rules = POLICY.split_once("\n[columns]").map_or(POLICY, |(rules, _)| rules);
    let mut text = format!("{}{ABOVE}", rules.replace("\"UNIT\"", &quoted(unit)));
    for table in tables {
        match &table.name {
            Some(name) => text.push_str(&format!("\n[tables.{}]\n", key(name))),
            None => text.push_str("\n[columns]\n"),
        }
        for column in &table.columns {
            let (name, key) = (quoted(column), key(column));
            text.push_str(&match kinds.get(&table.full(column)) {
                Some(Kind { word, is_number: true }) => {
                    format!("# bounds of {name} ({word}): write what is known of the field, not what the data have\n{key} = {{}}\n")
                }
                Some(Kind { word, .. }) => format!("# {name} ({})\n{key} = {{}}\n", shown::plain(word)),
                None => format!(
                    "# {name} is left out: it cannot be read as it is. With {key} = {{}}, `tidegate survey FILES --policy THIS` says why\n"
                ),
            });
        }
    }
    text
}

/// Writes a text as TOML does, on a line that no character of it repaints.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if shown::repaints(c) => quoted.push_str(&format!("\\U{:08X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Writes a name as a key of TOML.
fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_bare { name.to_owned() } else { quoted(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of columns are the files' own: none ends its line, or is another name.
    #[test]
    fn any_name_is_written_and_read_again() {
        let names = ["a", "a.b", "two words", "qu\"ote", "back\\slash", "line\nbreak", "größe", "\u{202e}x", "\u{7f}"];
        let names = names.map(str::to_owned).to_vec();
        let kinds = names.iter().zip([true, false].into_iter().cycle());
        let kinds = kinds.map(|(name, is_number)| (name.clone(), Kind { word: "X".into(), is_number })).collect();
        let text = written("the \"unit\"", &[Table { name: None, columns: names.clone() }], &kinds);
        assert!(text.lines().all(shown::is_plain), "{text}");
        let policy = read(&text).unwrap();
        assert_eq!(policy.unit.column, "the \"unit\"");
        assert_eq!(policy.columns.into_keys().collect::<BTreeSet<_>>(), names.into_iter().collect::<BTreeSet<_>>());
    }
}
