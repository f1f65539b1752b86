//! Reading of the columns of a table's text files, and detection of rows resembling totals.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use tidegate_protocol::{policy::ColumnRule, shown::plain as shown};

use super::{Table, file_name, said::and_more};
use crate::dataset::{
    DataError,
    error::ADD,
    of_columns,
    read::{self, Asked, Evidence, Learnt, in_sql, is_number},
};

/// Words in place of a name at the end of a table of numbers, in the languages of their writers.
const TOTALS: [&str; 20] = [
    "total",
    "totals",
    "grand total",
    "subtotal",
    "sub-total",
    "sum",
    "sums",
    "all",
    "summe",
    "gesamt",
    "gesamtsumme",
    "insgesamt",
    "zwischensumme",
    "somme",
    "total général",
    "suma",
    "totale",
    "totaal",
    "summa",
    "итого",
];

fn is_total(value: &str) -> bool {
    let word = value.trim_end_matches(|c: char| c == ':' || c == '.' || c == '=' || c.is_whitespace()).to_lowercase();
    TOTALS.contains(&word.as_str())
}

impl Table {
    /// Notes if the last row of a file looks like the sum of the others, not a unit's row. The row still counts as a unit's.
    fn say_totals(&self, learnt: &[Learnt], units: &Evidence, say: &mut dyn FnMut(String)) {
        let lasts = || learnt.iter().filter_map(|file| file.last.as_ref());
        let words = lasts().filter(|last| !is_number(last.value())).count() as u64;
        // If all values that are not numbers are last rows, they are unlike the others.
        let odd = units.not_numbers().is_some_and(|(count, _)| count == words && count < units.values());
        let found: Vec<_> = lasts().filter(|last| is_total(last.value()) || odd && !is_number(last.value())).collect();
        if let Some(first) = found.first() {
            say(format!(
                "column {}: the last row looks like a total, not like a row of a privacy unit ({}{}). It counts as one more privacy unit: remove it from the file",
                shown(&self.unit),
                first.words(),
                and_more(found.len() - 1)
            ));
        }
    }

    /// Notes the formulas of workbooks that have no stored value: their cells are NULL.
    pub(super) fn say_formulas(&self, say: &mut dyn FnMut(String)) {
        for source in &self.sources {
            let Some(text) = source.text.as_ref().filter(|text| text.dialect.sheet.is_some()) else { continue };
            let found = read::guarded(&source.path, || text.dialect.unvalued(&source.path)).unwrap_or_default();
            for (column, count) in found.into_iter().filter(|(column, _)| self.wanted.contains(column)) {
                let (have, are) = if count == 1 { ("formula has", "its cell is") } else { ("formulas have", "their cells are") };
                say(format!(
                    "column {}: {count} {have} no stored value in {}, and {are} NULL. Open the workbook in a program that computes formulas, and save it",
                    shown(&column),
                    file_name(&source.path)
                ));
            }
        }
    }

    /// Returns whether a single file is published, and nothing else.
    pub(super) fn is_only(&self) -> bool {
        self.sources.len() == 1 && self.policy.tables.is_empty()
    }

    /// Returns the error for a non-numeric column with bounds, with advice.
    pub(super) fn no_number(&self, name: &str, kind: &DataType, evidence: &Evidence) -> DataError {
        let nearly = match evidence.nearly_numeric() {
            Some(nearly) => format!(": {nearly}"),
            None if self.sources.iter().any(|source| source.says.contains_key(name)) => {
                format!(". If its folder names are numbers, {ADD}types = {{ {} = \"BIGINT\" }}", read::key(name))
            }
            None if self.json.is_some() => {
                let name = shown(name);
                format!(". If its texts are numbers, or mark missing ones, {ADD}types = {{ {name:?} = \"DOUBLE\" }}")
            }
            None => String::new(),
        };
        self.wrong(name, format!("has bounds but is not numeric (it is {}){nearly}", in_sql(kind)))
    }

    /// Decides how the text files' columns are read, each over all files, and returns the evidence of each column, the unit's
    /// first.
    pub(super) fn take_text(
        &mut self,
        learnt: &[Learnt],
        rules: &BTreeMap<&str, &ColumnRule>,
        say: &mut dyn FnMut(String),
    ) -> Result<Vec<Evidence>, DataError> {
        let delimiters: Vec<u8> = learnt.iter().map(|file| file.file.dialect.delimiter).collect();
        let (mut seen, mut all) = (Vec::new(), Vec::new());
        let mut several = false;
        for (at, name) in self.wanted.iter().enumerate() {
            let mut together = Evidence::default();
            learnt.iter().filter_map(|file| file.evidence.get(at)).for_each(|of_file| together.join(of_file));
            // Without the only unit of the only file there is nothing to publish.
            several |= *name == self.unit && together.is_of_several();
            let asked = Asked {
                rules: &self.policy.read,
                number: rules.get(name.as_str()).is_some_and(|rule| rule.bounds().is_some()),
                delimiters: &delimiters,
                alone: (several || !self.is_only()) && !self.is_mock,
                beside: self.sources.iter().any(|source| source.text.is_none()),
            };
            match together.taken(name, &asked, say) {
                Ok(taken) => all.push(Ok((name.clone(), taken))),
                Err(problem) => all.push(Err(self.wrong(name, problem))),
            }
            if *name == self.unit {
                self.say_totals(learnt, &together, say);
            }
            seen.push(together);
        }
        let all = of_columns(all.into_iter())?;
        self.sources.iter_mut().filter(|source| source.text.is_some()).for_each(|source| source.taken.clone_from(&all));
        Ok(seen)
    }
}
