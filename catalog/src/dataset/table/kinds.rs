//! The common type of each of a table's columns, which is public: types follow from the files' types and from the policy.

use arrow::{array::Array as _, datatypes::DataType};
use tidegate_protocol::policy::ColumnKind;

use super::{HIVE_NULL, Source, Table, file_name};
use crate::dataset::{
    DataError,
    error::ADD,
    read::{self, Format, in_sql, plain},
    types::{common, common_unit, unit},
};

/// Types available to a policy for a column, narrow types before wider ones.
const KINDS: [ColumnKind; 8] = [
    ColumnKind::Text,
    ColumnKind::BigInt,
    ColumnKind::Decimal,
    ColumnKind::Double,
    ColumnKind::Boolean,
    ColumnKind::Date,
    ColumnKind::Timestamp,
    ColumnKind::TimestampNanos,
];

impl Table {
    /// Returns the type of a column stated by folders' names, over all of them; `None` if they state nothing.
    ///
    /// # Errors
    /// Fails if the policy must state the type, since the names are not published.
    fn said_type(&self, name: &str) -> Result<Option<DataType>, DataError> {
        let mut all = self.sources.iter().filter_map(|source| source.says.get(name)).peekable();
        if all.peek().is_none() {
            return Ok(None);
        }
        if let Some(kind) = self.policy.read.kind_of(name) {
            return Ok(Some(read::said(kind)));
        }
        if !self.is_named && !self.is_mock {
            // Regardless of the values: the message must not reveal anything about them.
            return Err(self.wrong(
                name,
                format!(
                    "takes its values from folder names. There are too many to publish, and a single one must not decide the type. To choose it, \
                     {ADD}types = {{ {} = \"TEXT\" }} (or \"BIGINT\", if all of them are whole numbers)",
                    read::key(name)
                ),
            ));
        }
        let mut values = all.filter(|value| *value != HIVE_NULL).peekable();
        let number = |value: &String| value.parse::<i64>().is_ok_and(|number| number.to_string() == *value);
        Ok(values.peek().is_some().then(|| if values.all(number) { DataType::Int64 } else { DataType::Utf8 }))
    }

    /// Returns a type for a column's values in all files; `None` if no file has the column.
    ///
    /// It follows from the types in the files and from the policy, never from which values there are: types are public.
    pub(super) fn one_type(&self, name: &str, is_unit: bool) -> Result<Option<DataType>, DataError> {
        if let Some(kind) = self.said_type(name)? {
            return Ok(Some(kind));
        }
        let join = if is_unit { common_unit } else { common };
        let mut found: Option<(DataType, &Source)> = None;
        for (source, kind) in self.types(name, is_unit) {
            found = Some(match found {
                None => (kind, source),
                Some((before, first)) => match join(&before, &kind) {
                    Some(both) => (both, first),
                    None => return self.of_unlike(name, is_unit, (&before, first), (&kind, source)).map(Some),
                },
            });
        }
        Ok(found.map(|(kind, _)| kind))
    }

    /// Lists the files with a column, with its types there.
    fn types(&self, name: &str, is_unit: bool) -> impl Iterator<Item = (&Source, DataType)> {
        self.sources.iter().filter_map(move |source| Some((source, self.as_unit(source.has.get(name)?, is_unit))))
    }

    /// Returns the policy's type of a column whose types in two files have no common type.
    ///
    /// Files of types not held by it must have no value.
    fn of_unlike(
        &self,
        name: &str,
        is_unit: bool,
        (one, first): (&DataType, &Source),
        (other, second): (&DataType, &Source),
    ) -> Result<DataType, DataError> {
        let join = if is_unit { common_unit } else { common };
        let holds = |said: &DataType, kind: &DataType| join(said, kind).as_ref() == Some(said);
        let told = |kind: ColumnKind| self.as_unit(&read::said(kind), is_unit);
        let Some(kind) = self.policy.read.kind_of(name) else {
            // By their types alone, since the policy is public too.
            let words = [one, other].map(|kind| KINDS.into_iter().find(|said| holds(&told(*said), kind)).map(ColumnKind::name));
            let mut words: Vec<_> = words.into_iter().flatten().collect();
            words.dedup();
            let add = match words.as_slice() {
                [] => String::new(),
                [first, rest @ ..] => format!(
                    "; or, if it has no value in the files of one of these types, {ADD}types = {{ {} = \"{first}\" }}{}",
                    read::key(name),
                    rest.first().map(|other| format!(" (or \"{other}\")")).unwrap_or_default()
                ),
            };
            let (first, second) = (file_name(&first.path), file_name(&second.path));
            return Err(
                self.wrong(name, format!("is {} in {first} and {} in {second}: write one type{add}", in_sql(one), in_sql(other)))
            );
        };
        let said = told(kind);
        for (source, found) in self.types(name, is_unit) {
            if !holds(&said, &found) && !self.is_void(source, name)? {
                let (file, kind, found) = (file_name(&source.path), kind.name(), in_sql(&found));
                return Err(self.wrong(
                    name,
                    format!("is {found} in {file}, and {kind} under [read]: write that type in the file, or NULL"),
                ));
            }
        }
        Ok(said)
    }

    /// Returns a unit's type for joining with others: floats become whole numbers.
    fn as_unit(&self, kind: &DataType, is_unit: bool) -> DataType {
        let kind = plain(kind);
        if !is_unit || *kind == DataType::Null { kind.clone() } else { unit(kind).unwrap_or_else(|_| kind.clone()) }
    }

    fn is_void(&self, source: &Source, name: &str) -> Result<bool, DataError> {
        if source.format == Format::Text || source.format == Format::Json {
            return Ok(false);
        }
        for batch in read::open_written(&source.path, source.format, Some(&[name.to_owned()]))? {
            if batch?.columns().iter().any(|column| column.logical_null_count() < column.len()) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
