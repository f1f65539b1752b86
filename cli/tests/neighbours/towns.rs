//! Pairs of datasets that differ by one person, and the policies that they are published under.

use std::{fs::File, ops::Range, path::Path, sync::Arc};

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};

/// Who there is, with the one.
const ALL: Range<usize> = 0..3000;
/// Who there is where each is called by itself: a development build starts some hundred guests a second.
const FEW: Range<usize> = 1100..1400;
/// Who is in one of the two alone.
pub(super) const ONE: usize = 1234;

const POLICY: &str = r#"
[unit]
column = "person"
max_units = 4000
max_rows = 2
max_groups = 2
[budget]
delta = 1e-6
rho = 900
laplace_epsilon = 900
per_buyer_rho = 900
per_buyer_laplace_epsilon = 900
[jobs]
kinds = ["sql", "wasm", "onnx"]
min_units = 5
fuel = 100000000
memory_mib = 16
slot = "SLOT"
tick = "500ms"
[access]
compute = "granted"
replicate = "nobody"
[columns]
age = { lo = 0, hi = 100 }
income = { lo = 0, hi = 100000 }
zip = {}
diag = {}
flag = {}
note = {}
club = {}
"#;

/// What the one person has.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rows {
    /// A row, as all others have.
    One,
    /// So many rows, with a note of so many bytes in each.
    Long(usize, usize),
    /// A row, with a text of so many bytes in each of so many columns more, which have a letter in all others' rows.
    Wide(usize, usize),
}

/// A pair of datasets and how they are asked.
#[derive(Debug, Clone)]
pub(super) struct Town {
    pub(super) rows: Rows,
    pub(super) people: Range<usize>,
    pub(super) policy: String,
    /// Another policy that the same rows were published under before.
    pub(super) before: Option<String>,
    /// How many jobs each node runs at a time.
    pub(super) at_a_time: usize,
}

impl Town {
    /// In which jobs have so long, written as the policy does.
    pub(super) fn of(rows: Rows, slot: &str, at_a_time: usize) -> Self {
        let more = if let Rows::Wide(columns, _) = rows { columns } else { 0 };
        let more: String = (0..more).map(|i| format!("w{i} = {{}}\n")).collect();
        Self { rows, people: ALL, policy: POLICY.replace("SLOT", slot) + &more, before: None, at_a_time }
    }

    /// Of some hundred people.
    pub(super) fn small(self) -> Self {
        Self { people: FEW, policy: self.policy.replace("max_units = 4000", "max_units = 400"), ..self }
    }

    /// Writes the rows of all, or of all but the one, beside `at`; where they are.
    pub(super) fn write(&self, at: &Path, without: bool) -> String {
        let path = match self.rows {
            Rows::One => {
                let path = at.with_extension("csv");
                std::fs::write(&path, people(&self.people, without)).unwrap();
                path
            }
            Rows::Long(rows, bytes) => {
                let path = at.with_extension("parquet");
                long(&path, &self.people, if without { 0 } else { rows }, (bytes, 0));
                path
            }
            Rows::Wide(columns, bytes) => {
                let path = at.with_extension("parquet");
                long(&path, &self.people, usize::from(!without), (bytes, columns));
                path
            }
        };
        path.display().to_string()
    }
}

/// People of one row each, or all of them but one, who alone has diag 'rare', age 42 and income 77777.25. Of three thousand, eight others are in club 'few'.
fn people(all: &Range<usize>, without: bool) -> String {
    let mut csv = String::from("person,age,income,zip,diag,flag,note,club\n");
    for person in all.clone() {
        let (zip, flag, note) = (1000 + person % 20, person % 2 == 0, person % 50);
        if person != ONE {
            let (age, income, diag) = (20 + person % 60, 20_000 + 13 * person, ["flu", "cold", "none"][person % 3]);
            let club = if (10..18).contains(&person) { "few" } else { "many" };
            csv.push_str(&format!("{person},{age},{income}.5,{zip},{diag},{flag},n{note},{club}\n"));
        } else if !without {
            csv.push_str(&format!("{person},42,77777.25,{zip},rare,{flag},n{note},few\n"));
        }
    }
    csv
}

/// The others with their one row, and the one with as many as are wanted, of long texts in as many columns more: a file that compresses to next to nothing.
fn long(path: &Path, all: &Range<usize>, rows: usize, (bytes, columns): (usize, usize)) {
    let people: Vec<usize> = all.clone().flat_map(|p| std::iter::repeat_n(p, if p == ONE { rows } else { 1 })).collect();
    let texts = |of: &dyn Fn(usize) -> String| Arc::new(people.iter().map(|p| Some(of(*p))).collect::<StringArray>()) as ArrayRef;
    let of_one = |p: usize, one: &str, other: String| if p == ONE { one.to_owned() } else { other };
    let note = "a".repeat(bytes);
    let numbers = |of: &dyn Fn(usize) -> f64| Arc::new(people.iter().map(|p| of(*p)).collect::<Float64Array>()) as ArrayRef;
    let batch = vec![
        ("person", Arc::new(people.iter().map(|p| *p as i64).collect::<Int64Array>()) as ArrayRef),
        ("age", numbers(&|p| if p == ONE { 42.0 } else { (20 + p % 60) as f64 })),
        ("income", numbers(&|p| if p == ONE { 77_777.25 } else { (20_000 + 13 * p) as f64 })),
        ("zip", Arc::new(people.iter().map(|p| (1000 + p % 20) as i64).collect::<Int64Array>()) as ArrayRef),
        ("diag", texts(&|p| of_one(p, "rare", ["flu", "cold", "none"][p % 3].into()))),
        ("flag", texts(&|p| (p % 2 == 0).to_string())),
        ("note", texts(&|p| of_one(p, &note, format!("n{}", p % 50)))),
        ("club", texts(&|p| of_one(p, "few", "many".into()))),
    ];
    let more = (0..columns).map(|i| (format!("w{i}"), texts(&|p| of_one(p, &note, "n".into()))));
    let batch = batch.into_iter().map(|(name, column)| (name.to_owned(), column)).chain(more);
    let batch = RecordBatch::try_from_iter(batch).unwrap();
    let packed = Compression::ZSTD(ZstdLevel::try_new(1).unwrap());
    let properties = WriterProperties::builder().set_compression(packed).build();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}
