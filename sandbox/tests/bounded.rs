//! What jobs are handed is of bounded size, and what groups take beyond the worker is counted too.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use parquet::file::properties::WriterProperties;
use tidegate_gate::{Column, Committing, GroupSums, Keys, Measure, Plan, Releasing, Shape};
use tidegate_protocol::{ContentHash, Cost, MicroRho, cost::FemtoDelta, job::Key};
use tidegate_sandbox::{sql, units};

use crate::costs::{POLICY, batch, policy, schema, write};

/// A dictionary is a way to store texts: they are cut as the others, and count as much.
#[test]
fn texts_of_a_dictionary_are_cut_too() {
    let rows = batch(&[(1, "short"), (2, "longer than that"), (3, "longer than the other")]);
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let mut columns = rows.columns().to_vec();
    columns[4] = arrow::compute::cast(&columns[4], &dictionary).unwrap();
    let fields = rows
        .schema()
        .fields()
        .iter()
        .map(|f| f.as_ref().clone())
        .zip(&columns)
        .map(|(f, c)| f.with_data_type(c.data_type().clone()))
        .collect::<Vec<_>>();
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let shorter = policy(&POLICY.replace("note = {}", "note = { chars = 6 }"));
    let file = write(&rows, WriterProperties::builder());
    // A dictionary is a way to store values: jobs see the values.
    assert_eq!(*units::schema(&file).unwrap().field_with_name("note").unwrap().data_type(), DataType::Utf8);
    let query = "SELECT octet_length(note) AS k, COUNT(*) AS n FROM dataset GROUP BY 1";
    let admitted = sql::admit_query(&sql::Asked::new(query), &rows.schema(), &shorter).unwrap();
    let plan = Plan::new(admitted.shape.clone()).unwrap();
    let mut keys = vec![];
    let sink = &mut |some: Vec<GroupSums>| {
        keys.extend(some.into_iter().map(|g| (g.key, g.units)));
        Ok(())
    };
    sql::run_query(&admitted, &plan, &[file], &[7; 32], sql::Room::default(), sink).unwrap();
    keys.sort_by_key(|key| key.1);
    assert_eq!(keys, [(vec![Key::Int(5)], 1), (vec![Key::Int(6)], 2)]);
}

/// Lists and structures are of any length: neither queries nor programs are handed them.
#[test]
fn columns_of_any_length_are_refused() {
    let (list, text) = (Field::new_list_field(DataType::Int8, true), Field::new("a", DataType::Utf8, true));
    let (list, structure) = (Arc::new(list), DataType::Struct(vec![text].into()));
    let policy = policy(POLICY);
    for kind in [
        DataType::List(list.clone()),
        DataType::LargeList(list.clone()),
        DataType::FixedSizeList(list, 3),
        DataType::Dictionary(Box::new(DataType::Int8), Box::new(structure.clone())),
        structure,
    ] {
        let fields = schema().fields().iter().map(|f| f.as_ref().clone()).collect::<Vec<_>>();
        let fields = fields.into_iter().map(|f| if f.name() == "note" { f.with_data_type(kind.clone()) } else { f });
        let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        for of in ["note", "note IS NULL", "CASE WHEN age > 3 THEN note END"] {
            let refused = sql::admit_select(
                &format!("SELECT age, {of} AS n FROM dataset"),
                tidegate_protocol::job::Split::Unit,
                &schema,
                &policy,
            );
            let refused = refused.map(|_| ()).unwrap_err().to_string();
            assert!(refused.contains("of any length") || refused.contains("not supported"), "{kind}: {refused}");
        }
        // Beside it, others are.
        sql::admit_select("SELECT age, income FROM dataset", tidegate_protocol::job::Split::Unit, &schema, &policy).unwrap();
    }
}

/// Units may be named by texts: a long one cannot be cut, or two people would be one. Its rows are nobody's, for whoever counts, cuts or splits.
#[test]
fn rows_of_a_unit_with_a_long_name_are_nobody_s() {
    let long = ["b".repeat(1 << 20), format!("{}c", "b".repeat(1 << 20))];
    let names = ["a", "aa", &long[0], &long[0], &long[1], "c"];
    let rows = batch(&[(1, "x"), (1, "x"), (1, "x"), (1, "x"), (1, "x"), (1, "x")]);
    let policy = policy(POLICY);
    for kind in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, DataType::Binary] {
        let mut columns = rows.columns().to_vec();
        columns[0] = arrow::compute::cast(&(Arc::new(StringArray::from(names.to_vec())) as ArrayRef), &kind).unwrap();
        let named = ["person", "age", "income", "diag", "note"].into_iter().zip(columns).map(|(n, c)| (n, c, true));
        let rows = RecordBatch::try_from_iter_with_nullable(named).unwrap();
        for file in [
            write(&rows, WriterProperties::builder()),
            write(&rows, WriterProperties::builder().set_max_row_group_row_count(Some(2))),
        ] {
            let admitted =
                sql::admit_query(&sql::Asked::new("SELECT COUNT(DISTINCT person) AS n FROM dataset"), &rows.schema(), &policy)
                    .unwrap();
            let plan = Plan::new(admitted.shape.clone()).unwrap();
            let mut units = 0;
            let sink = &mut |some: Vec<GroupSums>| {
                units += some.iter().map(|g| g.units).sum::<i64>();
                Ok(())
            };
            sql::run_query(&admitted, &plan, &[file.try_clone().unwrap()], &[7; 32], sql::Room::default(), sink).unwrap();
            assert_eq!(units, 3, "{kind}");
            assert_eq!(units::cuts(&[file], &rows.schema(), "person", 100).unwrap().at, [1, 5], "{kind}");
        }
    }
}

/// Noise of known groups is counted: what does not fit the slot is refused, and what is asked for seldom is that much.
#[test]
fn noise_that_does_not_fit_the_slot_is_refused() {
    let policy = policy(&POLICY.replace("diag = {}", "diag = { chars = 8 }"));
    let keys = |n: usize| (0..n).map(|i| vec![Key::Text(format!("k{i}"))]).collect::<Vec<_>>();
    let admit = |query: &str, keys: &[Vec<Key>]| {
        let asked = sql::Asked { keys: Some(keys), ..sql::Asked::new(query) };
        sql::admit_query(&asked, &schema(), &policy).map(|_| ()).map_err(|e| e.to_string())
    };
    let median = "SELECT diag, MEDIAN(income) AS m FROM dataset GROUP BY diag";
    admit(median, &keys(5)).unwrap();
    admit("SELECT diag, COUNT(*) AS n, AVG(income) AS m FROM dataset GROUP BY diag", &keys(1000)).unwrap();
    let refused = admit(median, &keys(4000)).unwrap_err();
    assert!(refused.contains("noise"), "{refused}");
}

/// What a group takes once it leaves the worker, beside what it is counted as (`gate/src/afford.rs`). For eyes, as `costs::table`.
#[test]
#[ignore = "prints a table"]
fn table_of_groups() {
    for (columns, units) in [(1, 1), (1, 1_000_000), (8, 1), (8, 1_000_000)] {
        let shape = Shape {
            key_names: vec!["k".into()],
            keys: Keys::Undeclared { min_units: 1, remainder: true },
            columns: (0..columns).map(|i| Column::new(format!("c{i}"), Measure::Count)).collect(),
            max_groups: 4,
            max_rows: 1,
            blocks: None,
        };
        let plan = Plan::new(shape).unwrap();
        let cost = Cost { rho_micro: MicroRho(100), delta_femto: FemtoDelta(1_000_000), ..Cost::default() };
        let calibration = plan.calibrate(cost).unwrap();
        let group = |i: usize| GroupSums { units, ..plan.group(vec![Key::Text(format!("{i:0200}"))]) };
        let groups: Vec<GroupSums> = (0..20_000).map(group).collect();
        let each = |name: &str, work: &mut dyn FnMut()| {
            let start = std::time::Instant::now();
            work();
            println!(
                "{columns} columns, {units} units, {name}: {} ns a group",
                start.elapsed().as_nanos() / groups.len() as u128
            );
        };
        each("commitment", &mut || {
            std::hint::black_box(Committing::to(&groups));
        });
        let mut release = Some(Releasing::new(&plan, &calibration, &[]).unwrap());
        each("sizes", &mut || groups.chunks(200).for_each(|some| release.as_mut().unwrap().add(some).unwrap()));
        each("rows", &mut || drop(release.take().unwrap().finish(ContentHash([0; 32])).unwrap()));
    }
}
