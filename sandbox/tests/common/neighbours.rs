//! The promise itself: whatever a query is, it runs on every row, and a unit that comes or goes moves its sums by no more than the noise was made for.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::{collections::BTreeMap, fs::File, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array, Int64Array,
        Int64Builder, ListBuilder, RecordBatch, StringArray, TimestampMillisecondArray,
    },
    compute::filter_record_batch,
    datatypes::{Int32Type, SchemaRef},
};
use parquet::arrow::ArrowWriter;
use tidegate_gate::{GroupSums, Keys, Plan, Sums, release};
use tidegate_protocol::{
    Code, ContentHash, Cost, MicroRho, Refusal,
    cost::FemtoDelta,
    job::Key,
    policy::{Policy, PolicyFile},
    result::ResultDoc,
};
use tidegate_sandbox::{sql, units};

/// Every type of column, and bounds on those that can have them.
const POLICY: &str = r#"
unit = { column = "person", max_units = 1000, max_rows = 3, max_groups = 2 }
budget = { delta = 1e-6, rho = 100.0, per_buyer_rho = 100.0 }
jobs = { kinds = ["sql"], min_units = 5, fuel = 1000000, memory_mib = 16, slot = "20s", tick = "1s" }
access = { compute = "granted", replicate = "nobody" }
[columns]
spend = { lo = 0, hi = 100 }
visits = { lo = 0, hi = 10 }
price = { lo = 0, hi = 50 }
city = {}
grade = {}
flag = {}
day = {}
at = {}
tags = {}
bin = {}
"#;

/// One of twenty ordinary people, or of those who are not: each is taken away in turn.
pub(crate) const STRANGE: [i64; 6] = [i64::MIN, 7, 500, 777, 888, i64::MAX];

struct Row {
    person: Option<i64>,
    spend: Option<f64>,
    visits: Option<i64>,
    city: String,
}

fn rows() -> Vec<Row> {
    let row = |person, spend, visits, city: &str| Row {
        person: Some(person),
        spend: Some(spend),
        visits: Some(visits),
        city: city.into(),
    };
    let mut rows = vec![];
    // Numbers at the ends of their types.
    for (spend, visits) in [
        (f64::NAN, i64::MIN),
        (f64::INFINITY, i64::MAX),
        (f64::NEG_INFINITY, 0),
        (f64::MAX, -1),
        (f64::MIN_POSITIVE, 1),
        (-0.0, 1 << 53),
        (1e18, -(1 << 62)),
    ] {
        rows.push(row(i64::MIN, spend, visits, ""));
    }
    for person in 0..20 {
        rows.push(row(person, (person * 7 % 101) as f64, person % 11, ["north", "south", "east"][(person % 3) as usize]));
        rows.push(Row { person: Some(person), spend: None, visits: None, city: "north".into() });
    }
    // Nothing but NULL.
    rows.push(Row { person: Some(500), spend: None, visits: None, city: "north".into() });
    // The one a buyer wants: alone in a town.
    rows.push(row(777, 42.0, 7, "unique"));
    // A flood: more rows and groups than everybody else together.
    for i in 0..3000 {
        rows.push(row(888, 1e9, i, &format!("flood{}", i % 1000)));
    }
    // Texts that are awkward.
    for city in [
        "9999999999999999999",
        "\u{1F980}\u{0301}\u{202E}abc",
        "1e400",
        "%_\\",
        "NaN",
        "\0",
        &"\u{e9}".repeat(2000),
        "2024-02-30",
    ] {
        rows.push(row(i64::MAX, 1.5, 2, city));
    }
    for _ in 0..3 {
        rows.push(Row { person: None, spend: Some(5.0), visits: Some(5), city: "nobody".into() });
    }
    rows
}

fn batch() -> RecordBatch {
    let rows = rows();
    let each = |f: fn(&Row) -> Option<i64>| rows.iter().map(f);
    let mut tags = ListBuilder::new(Int64Builder::new());
    for row in &rows {
        tags.append_option(row.visits.map(|v| [Some(v), None]));
    }
    let grades: DictionaryArray<Int32Type> =
        rows.iter().map(|r| r.visits.map(|v| if v % 2 == 0 { "even" } else { "odd" })).collect();
    let price = rows
        .iter()
        .map(|r| r.visits.map(|v| i128::from(v % 10_000)))
        .collect::<Decimal128Array>()
        .with_precision_and_scale(10, 2);
    // Some are no UTF-8.
    let bytes = rows.iter().map(|r| Some(if r.person == Some(i64::MAX) { &[0xff, 0xfe, b'9'][..] } else { r.city.as_bytes() }));
    RecordBatch::try_from_iter_with_nullable([
        ("person", Arc::new(each(|r| r.person).collect::<Int64Array>()) as ArrayRef, true),
        ("spend", Arc::new(rows.iter().map(|r| r.spend).collect::<Float64Array>()) as ArrayRef, true),
        ("visits", Arc::new(each(|r| r.visits).collect::<Int64Array>()) as ArrayRef, true),
        ("price", Arc::new(price.unwrap()) as ArrayRef, true),
        ("city", Arc::new(rows.iter().map(|r| Some(r.city.as_str())).collect::<StringArray>()) as ArrayRef, true),
        ("grade", Arc::new(grades) as ArrayRef, true),
        ("flag", Arc::new(rows.iter().map(|r| r.visits.map(|v| v > 3)).collect::<BooleanArray>()) as ArrayRef, true),
        ("day", Arc::new(rows.iter().map(|r| r.visits.map(|v| v as i32)).collect::<Date32Array>()) as ArrayRef, true),
        ("at", Arc::new(each(|r| r.visits).collect::<TimestampMillisecondArray>().with_timezone("+02:00")) as ArrayRef, true),
        ("tags", Arc::new(tags.finish()) as ArrayRef, true),
        ("bin", Arc::new(bytes.collect::<BinaryArray>()) as ArrayRef, true),
        ("secret", Arc::new(each(|r| r.person).collect::<Int64Array>()) as ArrayRef, true),
    ])
    .unwrap()
}

/// A buyer's own table: `place (town, code, zone, weight)`.
pub(crate) fn place() -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([
        ("town", Arc::new(StringArray::from(vec![Some("north"), Some("unique"), Some(""), None, None])) as ArrayRef, true),
        ("code", Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(7), Some(0), Some(3), None])) as ArrayRef, true),
        ("zone", Arc::new(StringArray::from(vec![Some("cold"), Some("target"), None, Some("z"), Some("z")])) as ArrayRef, true),
        ("weight", Arc::new(Float64Array::from(vec![Some(1.0), Some(99.0), None, Some(-5.0), Some(0.0)])) as ArrayRef, true),
    ])
    .unwrap()
}

pub(crate) fn places() -> sql::Tables {
    let rows = place();
    let mut tables = sql::Tables::default();
    tables.add("place", &rows.schema(), &[rows]).unwrap();
    sql::Tables::read(&tables.write().unwrap()).unwrap()
}

fn write(batch: &RecordBatch) -> File {
    let mut file = tempfile::tempfile().unwrap();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    file
}

/// A dataset, and the same without each of some units.
pub(crate) struct World {
    pub(crate) policy: Policy,
    pub(crate) schema: SchemaRef,
    /// A buyer's own: `place (town, code, zone, weight)`.
    tables: sql::Tables,
    whole: File,
    without: Vec<(i64, File)>,
    /// Nobody at all, and rows of nobody.
    empty: [File; 2],
}

impl World {
    pub(crate) fn new() -> Self {
        let batch = batch();
        let person = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().clone();
        let without = STRANGE.map(|unit| {
            let mask: BooleanArray = person.iter().map(|p| Some(p != Some(unit))).collect();
            (unit, write(&filter_record_batch(&batch, &mask).unwrap()))
        });
        let only = |keep: fn(Option<i64>) -> bool| {
            let mask: BooleanArray = person.iter().map(|p| Some(keep(p))).collect();
            write(&filter_record_batch(&batch, &mask).unwrap())
        };
        let empty = [only(|_| false), only(|p| p.is_none())];
        let whole = write(&batch);
        let schema = units::schema(&whole).unwrap();
        let policy = PolicyFile::parse(POLICY).unwrap().check(|e, _| Some(e)).unwrap();
        Self { policy, schema, tables: places(), whole, without: without.into(), empty }
    }

    /// The dataset's rows.
    pub(crate) fn file(&self) -> &File {
        &self.whole
    }

    /// Runs a query on the dataset and on all its neighbours.
    ///
    /// # Errors
    /// The refusal.
    ///
    /// # Panics
    /// Where an admitted query fails on a row, or a unit moves the sums by more than the noise is for.
    pub(crate) fn run(&self, query: &str) -> Result<Sums, Refusal> {
        let admitted =
            sql::admit_query(&sql::Asked { tables: &self.tables, ..sql::Asked::new(query) }, &self.schema, &self.policy)?;
        let plan = Plan::new(admitted.shape.clone()).map_err(|e| Refusal::new(Code::Program, e.to_string()))?;
        let sums = |file: &File| {
            let files = [file.try_clone().unwrap()];
            let run = |spill: Option<&sql::Spill>| {
                let mut sums = Sums::default();
                let sink = &mut |groups: Vec<GroupSums>| {
                    sums.groups.extend(groups);
                    Ok(())
                };
                sql::run_query(&admitted, &plan, &files, &[7; 32], sql::Room { spill, least_units: 0 }, sink)
                    .unwrap_or_else(|e| panic!("{query}\n  failed on a row: {e}"));
                sums
            };
            let sums = run(None);
            if file.metadata().unwrap().len() == self.whole.metadata().unwrap().len() {
                // Without room for a single group it comes to the same.
                let spilled = run(Some(&sql::Spill::new(tempfile::tempfile().unwrap(), 1)));
                assert_eq!(by_key(&sums), by_key(&spilled), "{query}\n  with groups on disk");
            }
            plan.check(&sums).unwrap_or_else(|e| panic!("{query}\n  does not fit its plan: {e}"));
            sums
        };
        let whole = sums(&self.whole);
        for (unit, file) in &self.without {
            check_neighbours(&plan, &whole, &sums(file)).unwrap_or_else(|e| panic!("{query}\n  without unit {unit}: {e}"));
        }
        Ok(whole)
    }
}

/// A query that is admitted for the keys that it declares.
pub(crate) struct Declared {
    query: sql::Query,
    plan: Plan,
}

impl Declared {
    /// Which groups appear.
    pub(crate) fn keys(&self) -> Keys {
        self.plan.shape().keys
    }

    /// How many numbers a release draws noise for.
    pub(crate) fn numbers(&self) -> usize {
        self.plan.lanes() * self.query.declared.as_ref().map_or(1, Vec::len)
    }
}

impl World {
    /// Admits a query with these keys.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) fn declare(&self, query: &str, keys: Option<&[Vec<Key>]>) -> Result<Declared, Refusal> {
        let asked = sql::Asked { tables: &self.tables, keys, ..sql::Asked::new(query) };
        let query = sql::admit_query(&asked, &self.schema, &self.policy)?;
        let plan = Plan::new(query.shape.clone()).map_err(|e| Refusal::new(Code::Program, e.to_string()))?;
        Ok(Declared { query, plan })
    }

    /// The keys of a query's groups on the whole dataset.
    pub(crate) fn keys(&self, asked: &Declared) -> Vec<Vec<Key>> {
        self.sums(asked, &self.whole).groups.into_iter().map(|group| group.key).collect()
    }

    /// What is released on the whole dataset, on each of its neighbours, on nobody and on rows of nobody.
    pub(crate) fn released(&self, asked: &Declared) -> Vec<ResultDoc> {
        let calibration = asked.plan.calibrate(Cost::dp(MicroRho(1_000_000), FemtoDelta(0))).unwrap();
        let declared = asked.query.declared.as_deref().unwrap_or_default();
        let files = [&self.whole].into_iter().chain(self.without.iter().map(|(_, file)| file)).chain(&self.empty);
        let released =
            files.map(|file| release(&asked.plan, &calibration, declared, &self.sums(asked, file), ContentHash([0; 32])));
        released.map(|released| released.unwrap().document().clone()).collect()
    }

    fn sums(&self, asked: &Declared, file: &File) -> Sums {
        let mut sums = Sums::default();
        let sink = &mut |groups: Vec<GroupSums>| {
            sums.groups.extend(groups);
            Ok(())
        };
        let room = sql::Room { spill: None, least_units: 0 };
        sql::run_query(&asked.query, &asked.plan, &[file.try_clone().unwrap()], &[7; 32], room, sink).unwrap();
        sums
    }
}

fn by_key(sums: &Sums) -> BTreeMap<String, &GroupSums> {
    sums.groups.iter().filter(|g| g.units > 0).map(|g| (format!("{:?}", g.key), g)).collect()
}

/// One unit is in at most κ groups, once in each, and moves each part of each by no more than its sensitivity.
fn check_neighbours(plan: &Plan, with: &Sums, without: &Sums) -> Result<(), String> {
    let (with, without) = (by_key(with), by_key(without));
    let empty = plan.group(vec![]);
    let mut changed = 0;
    for key in with.keys().chain(without.keys().filter(|k| !with.contains_key(*k))) {
        let a = with.get(key).copied().unwrap_or(&empty);
        let b = without.get(key).copied().unwrap_or(&empty);
        if (a.units, &a.lanes) == (b.units, &b.lanes) {
            continue;
        }
        changed += 1;
        if a.units - b.units != 1 {
            return Err(format!("{key} has {} units, or {}", a.units, b.units));
        }
        for part in plan.parts() {
            let moved = part.range().map(|lane| (a.lanes[lane] - b.lanes[lane]).pow(2)).sum::<i128>();
            if moved > i128::from(part.sensitivity).pow(2) {
                return Err(format!("{key}: {part:?} moves by the root of {moved}"));
            }
        }
    }
    let most = if matches!(plan.shape().keys, Keys::None) { 1 } else { plan.kappa() };
    if changed > most { Err(format!("{changed} groups change, κ = {most}")) } else { Ok(()) }
}
