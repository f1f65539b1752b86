//! How the columns of a table's text files are taken, and what looks as if it were no row.

use std::collections::BTreeMap;

use tidegate_protocol::{policy::ColumnRule, shown::plain as shown};

use super::Table;
use crate::dataset::{
    DataError,
    read::{Evidence, InFile, Learnt, Marks},
};

impl Table {
    /// Finds out how the text files' columns are read, each over all of them, and returns what was seen of each column.
    pub(super) fn take_text(
        &mut self,
        learnt: &[Learnt],
        rules: &BTreeMap<&str, &ColumnRule>,
        say: &mut dyn FnMut(String),
    ) -> Result<Vec<Evidence>, DataError> {
        let mut all = Marks::default();
        learnt.iter().for_each(|file| all.join(file.marks));
        let (mut seen, mut taken) = (Vec::new(), vec![Vec::new(); learnt.len()]);
        for (at, name) in self.wanted.iter().enumerate() {
            let files: Vec<InFile<'_>> = learnt.iter().filter_map(|file| InFile::of(file, at, all)).collect();
            let mut together = Evidence::default();
            files.iter().for_each(|file| together.join(file.evidence));
            let number = rules.get(name.as_str()).is_some_and(|rule| rule.bounds().is_some());
            let of_files = together.taken(name, &self.policy.read, &files, number, say);
            let of_files = of_files.map_err(|problem| self.wrong(name, problem))?;
            taken.iter_mut().zip(of_files).for_each(|(taken, of_file)| taken.push((name.clone(), of_file)));
            seen.push(together);
        }
        self.sources
            .iter_mut()
            .filter(|source| source.text.is_some())
            .zip(taken)
            .for_each(|(source, taken)| source.taken = taken);
        Ok(seen)
    }
}
