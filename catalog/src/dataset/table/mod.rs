//! The files of a dataset's tables under a common schema.
//!
//! Whatever their order, widths and formats, each column named by the policy has one type, determined from all files, with a note
//! for the owner about each assumption.

mod kinds;
pub(super) mod rows;
mod said;
mod texts;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use tidegate_protocol::{
    policy::{ColumnRule, Policy},
    shown::plain as shown,
};

use super::{
    DataError, TableFiles, of_columns,
    paths::{fit_a_manifest, partitions},
    read::{self, Evidence, Format, JsonOf, Learnt, Taken, TextFile, Whose, in_sql, plain},
    types::{common_unit, readable, unit},
};

/// Hive's value for a missing value.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// Maximum number of listed column names.
const LISTED: usize = 40;

/// Extension types whose values are what they are stored as.
const AS_STORED: [&str; 2] = ["arrow.json", "arrow.uuid"];

/// File of a table, with the facts learnt about it.
#[derive(Debug, Clone)]
struct Source {
    path: PathBuf,
    format: Format,
    text: Option<TextFile>,
    /// Reading of its text columns.
    taken: Vec<(String, Taken)>,
    /// Types of the wanted columns in the file.
    has: BTreeMap<String, DataType>,
    /// Names of all columns, if its head states them.
    named: Vec<String>,
    /// Values of columns stated by its folders.
    says: BTreeMap<String, String>,
    /// Extension types of wanted columns, which are read as the types they are stored as.
    extensions: BTreeMap<String, String>,
    /// Whether its columns have the types of its format alone, and not those of its writer.
    is_bare: bool,
    /// Whether jobs can read the file directly, as far as its footer tells.
    plain: bool,
}

/// Files of a table, of which the columns named by the policy are read.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: Option<String>,
    sources: Vec<Source>,
    /// Unit column and the policy's columns, by their names in the files.
    wanted: Vec<String>,
    json: Option<SchemaRef>,
    /// Columns over all files together, in the order of `wanted`.
    pub(super) schema: SchemaRef,
    unit: String,
    policy: Policy,
    /// Whether its rows are mock rows, for which nothing is hidden.
    is_mock: bool,
    /// Whether its files' names are published.
    is_named: bool,
}

impl Source {
    /// Returns the unit of its rows, as far as its folders tell.
    fn whose(&self, unit: &str) -> Whose {
        let named = |name: &String| (name != HIVE_NULL).then(|| read::unit_of(name));
        self.says.get(unit).map_or(Whose::Rows, |name| Whose::Folders(named(name)))
    }
}

fn wrong(column: &str, problem: impl Into<String>) -> DataError {
    DataError::Column { column: column.to_owned(), problem: problem.into() }
}

fn file_name(path: &Path) -> String {
    shown(&path.file_name().unwrap_or_default().to_string_lossy()).into_owned()
}

/// Lists the policy's columns of a table, by their names in the files.
fn rules_of<'a>(table: Option<&'a str>, policy: &'a Policy) -> impl Iterator<Item = (&'a str, &'a ColumnRule)> {
    policy.columns.iter().filter_map(move |(name, rule)| match table {
        Some(table) => Some((name.strip_prefix(table)?.strip_prefix('.')?, rule)),
        None => Some((name.as_str(), rule)),
    })
}

impl Table {
    /// Returns an error for a column, by its name in the policy.
    fn wrong(&self, column: &str, problem: impl Into<String>) -> DataError {
        match &self.name {
            Some(table) if column != self.unit => wrong(&format!("{table}.{column}"), problem),
            _ => wrong(column, problem),
        }
    }

    /// Learns the content of a table's files. Assumptions are reported to `say`.
    pub(super) fn learn(
        files: &TableFiles,
        policy: &Policy,
        (is_mock, is_named): (bool, bool),
        say: &mut dyn FnMut(String),
    ) -> Result<Self, DataError> {
        let rules: BTreeMap<&str, &ColumnRule> = rules_of(files.table.as_deref(), policy).collect();
        let unit = policy.unit.column.clone();
        let wanted: Vec<String> = std::iter::once(unit.clone()).chain(rules.keys().map(|name| (*name).to_owned())).collect();
        let mut table = Self {
            name: files.table.clone(),
            sources: vec![],
            wanted,
            json: None,
            schema: Arc::new(Schema::empty()),
            unit,
            policy: policy.clone(),
            is_mock,
            is_named,
        };
        let mut learnt = Vec::new();
        for (path, name) in files.files.iter().zip(&files.names) {
            let source = table.source(path, name, &mut learnt)?;
            table.sources.push(source);
        }
        let evidence = table.take_text(&learnt, &rules, say)?;
        table.say_formulas(say);
        table.learn_json(say)?;
        table.say_formats(files, say);
        table.fill_types();
        table.belong()?;
        table.unify(&rules, &evidence, say)?;
        Ok(table)
    }

    fn source(&self, path: &Path, name: &str, learnt: &mut Vec<Learnt>) -> Result<Source, DataError> {
        let format = read::format(path)?;
        let mut says = partitions(name);
        says.retain(|column, _| self.wanted.contains(column));
        let (has, extensions, named) = (BTreeMap::new(), BTreeMap::new(), vec![]);
        let (path_of, is_bare) = (path.to_owned(), false);
        let mut source =
            Source { path: path_of, format, text: None, taken: vec![], has, named, says, extensions, is_bare, plain: false };
        match format {
            Format::Empty | Format::Json => {}
            Format::Text => {
                let of_file = read::learn_text(path, &self.policy.read, &self.wanted, source.whose(&self.unit))?;
                self.once(path, of_file.file.dialect.header.iter().map(String::as_str))?;
                source.named.clone_from(&of_file.file.dialect.header);
                source.text = Some(of_file.file.clone());
                learnt.push(of_file);
            }
            Format::Parquet | Format::ArrowFile | Format::ArrowStream => {
                let written = read::written(path, format)?;
                self.once(path, written.schema.fields().iter().map(|field| field.name().as_str()))?;
                source.named = written.schema.fields().iter().map(|field| field.name().clone()).collect();
                (source.plain, source.is_bare) = (written.plain, written.is_bare);
                if let Some((name, kind)) = written.odd.iter().find(|(name, _)| self.wanted.contains(name)) {
                    let problem =
                        format!("has {kind} in {}, which is not supported. Write it as Int64, or as a decimal", file_name(path));
                    return Err(self.wrong(name, problem));
                }
                let wanted = || written.schema.fields().iter().filter(|field| self.wanted.contains(field.name()));
                source.has = wanted().map(|field| (field.name().clone(), field.data_type().clone())).collect();
                let extension = |field: &Arc<Field>| {
                    let name = field.extension_type_name().filter(|name| !AS_STORED.contains(name))?;
                    Some((field.name().clone(), name.to_owned()))
                };
                source.extensions = wanted().filter_map(extension).collect();
            }
        }
        Ok(source)
    }

    /// Checks whether no wanted column occurs twice: the meaning would be ambiguous.
    fn once<'a>(&self, path: &Path, names: impl Iterator<Item = &'a str>) -> Result<(), DataError> {
        let mut seen = BTreeSet::new();
        for name in names.filter(|name| self.wanted.iter().any(|wanted| wanted == name)) {
            if !seen.insert(name) {
                return Err(self.wrong(name, format!("occurs twice in {}: rename one of the two", file_name(path))));
            }
        }
        Ok(())
    }

    fn learn_json(&mut self, say: &mut dyn FnMut(String)) -> Result<(), DataError> {
        let is_json = |source: &&Source| source.format == Format::Json;
        let files: Vec<_> = self.sources.iter().filter(is_json).map(|s| (s.path.as_path(), s.whose(&self.unit))).collect();
        if !files.is_empty() {
            let elsewhere = self.sources.iter().flat_map(|source| source.named.iter().chain(source.says.keys()));
            let of = JsonOf {
                wanted: &self.wanted,
                unit: &self.unit,
                rules: &self.policy.read,
                alone: !self.is_mock,
                only: self.is_only(),
                elsewhere: &elsewhere.map(String::as_str).collect(),
            };
            self.json = Some(read::learn_json(&files, Some(&of), say)?);
        }
        Ok(())
    }

    /// Fills in the column types of files without stated types.
    fn fill_types(&mut self) {
        for source in &mut self.sources {
            match (&source.text, source.format, &self.json) {
                (Some(text), ..) => {
                    let has = |(name, _): &&(String, Taken)| text.dialect.header.contains(name);
                    let typed = source.taken.iter().filter(has).map(|(name, taken)| (name.clone(), taken.kind.clone()));
                    source.has = typed.collect();
                }
                (None, Format::Json, Some(json)) => {
                    source.has = json.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect();
                }
                _ => {}
            }
        }
    }

    /// Lists the existing columns, for an error about a missing column.
    fn named(&self) -> String {
        let named: BTreeSet<&str> = self.sources.iter().flat_map(|source| &source.named).map(String::as_str).collect();
        let listed: Vec<_> = named.iter().take(LISTED).map(|name| shown(name)).collect();
        let more = if named.len() > LISTED { ", …" } else { "" };
        if named.is_empty() { String::new() } else { format!(". They have {}{more}", listed.join(", ")) }
    }

    /// Determines the common type of each column.
    fn unify(
        &mut self,
        rules: &BTreeMap<&str, &ColumnRule>,
        evidence: &[Evidence],
        say: &mut dyn FnMut(String),
    ) -> Result<(), DataError> {
        let named = self.wanted.iter().zip(evidence);
        let fields = of_columns(named.map(|(name, evidence)| self.field(name, rules, evidence, say)))?;
        self.schema = Arc::new(Schema::new(fields));
        Ok(())
    }

    /// Determines a column with its common type in all files.
    fn field(
        &self,
        name: &str,
        rules: &BTreeMap<&str, &ColumnRule>,
        evidence: &Evidence,
        say: &mut dyn FnMut(String),
    ) -> Result<Field, DataError> {
        let is_unit = name == self.unit;
        let kind = self.one_type(name, is_unit)?;
        let lacking: Vec<&Source> = self
            .sources
            .iter()
            .filter(|s| s.format != Format::Empty && !s.has.contains_key(name) && !s.says.contains_key(name))
            .collect();
        let Some(kind) = kind else {
            let table = self.name.as_ref().filter(|_| is_unit);
            return Err(self.wrong(
                name,
                match table {
                    Some(table) => format!("is not in the files of table {table}{}", self.named()),
                    None => format!("is in the policy but not in the files{}", self.named()),
                },
            ));
        };
        if let Some(first) = lacking.first() {
            if is_unit {
                return Err(
                    self.wrong(name, format!("is not in {}: the privacy units of its rows are unknown", file_name(&first.path)))
                );
            }
            say(format!(
                "column {}: NULL in the rows of {}{}, where the column is missing",
                shown(name),
                file_name(&first.path),
                said::and_more(lacking.len() - 1)
            ));
        }
        readable(&kind).map_err(|problem| self.wrong(name, problem))?;
        let kind = plain(&kind).clone();
        self.say_zones(name, &kind, say);
        let bounded = rules.get(name).is_some_and(|rule| rule.bounds().is_some());
        let kind = if is_unit && kind == DataType::Null {
            // Takes the type from other tables.
            kind
        } else if is_unit {
            unit(&kind).map_err(|problem| self.wrong(name, problem))?
        } else if bounded && kind == DataType::Null {
            DataType::Float64
        } else if kind == DataType::Null {
            DataType::Utf8
        } else if bounded && !(kind.is_numeric() || kind == DataType::Boolean) {
            return Err(self.no_number(name, &kind, evidence));
        } else {
            kind
        };
        Ok(Field::new(name, kind, true))
    }

    /// Gives a column another type able to hold its values.
    pub(super) fn retype(&mut self, name: &str, kind: &DataType) {
        let fields = self.schema.fields().iter().map(|field| {
            if field.name() == name { Arc::new(field.as_ref().clone().with_data_type(kind.clone())) } else { field.clone() }
        });
        self.schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    }

    /// Returns the type of the unit column.
    pub(super) fn unit_type(&self) -> Option<&DataType> {
        self.schema.column_with_name(&self.unit).map(|(_, field)| field.data_type())
    }

    /// Returns the number of files.
    pub(super) fn len(&self) -> usize {
        self.sources.len()
    }

    /// Returns the path of a file.
    pub(super) fn path(&self, file: usize) -> &Path {
        self.sources.get(file).map_or(Path::new(""), |source| &source.path)
    }

    /// Returns whether jobs can read the files directly, as far as can be told without their rows: Parquet, with exactly these
    /// types.
    pub(super) fn is_as_published(&self) -> bool {
        self.sources.iter().all(|source| {
            source.plain
                && source.says.is_empty()
                && self.schema.fields().iter().all(|field| {
                    source.has.get(field.name()).is_some_and(|kind| {
                        let same = if *field.name() == self.unit { kind } else { plain(kind) };
                        same == field.data_type()
                    })
                })
        })
    }
}

/// Learns all tables and gives their unit columns a common type; `is_mock` marks mock rows.
pub(super) fn learn(
    files: &[TableFiles],
    policy: &Policy,
    is_mock: bool,
    say: &mut dyn FnMut(String),
) -> Result<Vec<Table>, DataError> {
    let of = (is_mock, !policy.tables.is_empty() || fit_a_manifest(files));
    let mut tables = files.iter().map(|files| Table::learn(files, policy, of, say)).collect::<Result<Vec<_>, _>>()?;
    let mut one: Option<(DataType, Option<String>)> = None;
    for table in &tables {
        let Some(kind) = table.unit_type() else { continue };
        one = Some(match one {
            None => (kind.clone(), table.name.clone()),
            Some((before, first)) => match common_unit(&before, kind) {
                Some(both) => (both, first),
                None => {
                    let (first, other) = (first.unwrap_or_default(), table.name.clone().unwrap_or_default());
                    return Err(wrong(
                        &policy.unit.column,
                        format!("is {} in {other} and {} in {first}: write one type", in_sql(kind), in_sql(&before)),
                    ));
                }
            },
        });
    }
    if let Some((kind, _)) = one {
        let kind = if kind == DataType::Null { DataType::Utf8 } else { kind };
        tables.iter_mut().for_each(|table| table.retype(&policy.unit.column, &kind));
    }
    Ok(tables)
}
