//! Notes for the owner about the detected formats of a table's files.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::DataType;
use tidegate_protocol::{policy::ColumnKind, shown::plain as shown};

use super::{HIVE_NULL, Source, Table, file_name};
use crate::dataset::{
    DataError, TableFiles, broken,
    error::ADD,
    read::{self, Format, day_or_time, plain},
};

/// Formats the number of files beside one that is named.
pub(super) fn and_more(files: usize) -> String {
    match files {
        0 => String::new(),
        1 => " and 1 more file".to_owned(),
        files => format!(" and {files} more files"),
    }
}

impl Table {
    /// Reports the detected formats of the files, similar files together.
    pub(super) fn say_formats(&self, files: &TableFiles, say: &mut dyn FnMut(String)) {
        let mut alike: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for source in &self.sources {
            let words = match (&source.text, source.format) {
                (_, Format::Empty) => "skipped, because it is empty".to_owned(),
                (Some(text), _) if text.dialect.sheet.is_some() => text.dialect.sheet_words(),
                (Some(text), _) => format!(
                    "text, {} between values{}{}",
                    text.dialect.delimiter_word(),
                    if text.dialect.is_wide() {
                        ", in UTF-16"
                    } else if text.dialect.western {
                        ", in Windows-1252 (Latin-1)"
                    } else {
                        ""
                    },
                    text.dialect.packed.map(|by| format!(", compressed with {by}")).unwrap_or_default()
                ),
                (None, format) => format.word().to_owned(),
            };
            alike.entry(words).or_default().push(file_name(&source.path));
        }
        for (words, names) in alike {
            match names.as_slice() {
                [one] => say(format!("{one}: {words}")),
                [first, ..] => say(format!("{} files ({first} and more): {words}", names.len())),
                [] => {}
            }
        }
        if !files.left_out.is_empty() {
            let names: Vec<_> = files.left_out.iter().take(5).map(|path| file_name(path)).collect();
            let more = files.left_out.len().saturating_sub(names.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            say(format!("skipped, because they have no data: {}{more}", names.join(", ")));
        }
        let mut bare = self.sources.iter().filter(|source| source.is_bare).map(|source| file_name(&source.path));
        if let Some(first) = bare.next() {
            let more = and_more(bare.count());
            say(format!(
                "{first}{more}: the writer's description of the columns' types (ARROW:schema) cannot be read, so that only Parquet's own types apply: \
                 times with a time zone are in UTC, and durations are whole numbers. If a column has such values, write the file again"
            ));
        }
        let extensions: BTreeSet<_> = self.sources.iter().flat_map(|source| &source.extensions).collect();
        for (column, extension) in extensions {
            let (column, extension) = (shown(column), shown(extension));
            say(format!("column {column}: its type {extension} is unknown; the stored values are read"));
        }
        let said: BTreeSet<&str> = self.sources.iter().flat_map(|source| source.says.keys().map(String::as_str)).collect();
        for column in said {
            let hint = self.hint(column);
            say(format!("column {}: its values come from folder names{hint}", shown(column)));
        }
    }

    /// Describes the type of a column of folders' names, if its reader may take it for another.
    fn hint(&self, column: &str) -> String {
        if column == self.unit || self.policy.read.kind_of(column).is_some() {
            return String::new();
        }
        let values = self.sources.iter().filter_map(|source| source.says.get(column)).map(String::as_str);
        let values: BTreeSet<&str> = values.filter(|value| *value != HIVE_NULL).collect();
        let to_be = |kind: ColumnKind| format!("{ADD}types = {{ {} = \"{}\" }}", read::key(column), kind.name());
        let number = |value: &str| value.parse::<i64>().ok();
        if values.iter().all(|value| number(value).is_some()) {
            let padded = values.iter().find(|value| number(value).is_some_and(|number| number.to_string() != **value));
            return padded.map_or_else(String::new, |value| {
                format!(
                    ". It is TEXT, because a number would lose leading zeros: queries compare it with '{value}'. To read it as a number, {}",
                    to_be(ColumnKind::BigInt)
                )
            });
        }
        let times: Option<Vec<_>> = values.iter().map(|value| day_or_time(value)).collect();
        times.map_or_else(String::new, |times| {
            let time = times.iter().find(|kind| **kind != ColumnKind::Date).copied();
            format!(". It is TEXT. To read it as a date or time, {}", to_be(time.unwrap_or(ColumnKind::Date)))
        })
    }

    /// Notes a column of times that are of several time zones in the files, and of one in the dataset.
    pub(super) fn say_zones(&self, name: &str, kind: &DataType, say: &mut dyn FnMut(String)) {
        let DataType::Timestamp(_, Some(to)) = kind else { return };
        let mut zones: BTreeMap<&str, &Source> = BTreeMap::new();
        for source in &self.sources {
            if let Some(DataType::Timestamp(_, Some(zone))) = source.has.get(name).map(plain) {
                zones.entry(zone.as_ref()).or_insert(source);
            }
        }
        if zones.len() > 1 {
            let of = |(zone, source): (&&str, &&Source)| format!("{} in {}", shown(zone), file_name(&source.path));
            let of: Vec<_> = zones.iter().map(of).collect();
            say(format!(
                "column {} has times of several time zones ({}): they are converted to {to}, and so are their days and hours. To keep local days and \
                 hours, write the column with one time zone in all files",
                shown(name),
                of.join(", ")
            ));
        }
    }

    /// Checks whether no file lacks all of the policy's columns: such a file was given by mistake.
    pub(super) fn belong(&self) -> Result<(), DataError> {
        let has = |source: &Source, name: &String| source.has.contains_key(name) || source.says.contains_key(name);
        let of_policy = || self.wanted.iter().filter(|name| **name != self.unit);
        let strange = |source: &&Source| source.format != Format::Empty && !of_policy().any(|name| has(source, name));
        match self.sources.iter().find(strange) {
            Some(strange) if of_policy().next().is_some() && self.sources.len() > 1 => {
                Err(broken(&strange.path, "has none of the policy's columns: it is not a file of this table"))
            }
            _ => Ok(()),
        }
    }
}
