//! An independent implementation of Arrow and Parquet writes what an owner publishes and reads what tidegate writes.

use std::path::Path;

use crate::common::World;
use tidegate_fixtures::second::{
    Chunk, DataType, Field, Float64Array, Int64Array, Rows, Schema, Utf8Array, read_ipc, read_parquet, write_ipc, write_parquet,
};

/// Forty people, two rows each, in no order; one row has no person.
fn rows() -> (Schema, Rows) {
    let field = |name: &str, kind| Field::new(name, kind, true);
    let schema =
        Schema::from(vec![field("person", DataType::Int64), field("spend", DataType::Float64), field("city", DataType::Utf8)]);
    let person = (0..81i64).map(|i| (i != 80).then_some(i * 7 % 40));
    let spend = (0..81i64).map(|i| Some(i as f64));
    let city = (0..81i64).map(|i| (i % 9 != 0).then_some("north"));
    let columns = vec![
        person.collect::<Int64Array>().boxed(),
        spend.collect::<Float64Array>().boxed(),
        city.collect::<Utf8Array<i32>>().boxed(),
    ];
    (schema, Chunk::new(columns))
}

fn column<'a, A: 'static>(schema: &Schema, rows: &'a [Rows], name: &str) -> Vec<&'a A> {
    let at = schema.fields.iter().position(|f| f.name == name).unwrap_or_else(|| panic!("no column {name}"));
    rows.iter().map(|chunk| chunk.arrays()[at].as_any().downcast_ref::<A>().unwrap()).collect()
}

#[test]
fn what_another_implementation_wrote_is_published_and_what_is_written_here_reads_the_same_there() {
    let world = World::new();
    let (schema, chunk) = rows();
    write_ipc(&world.path("rows.arrow"), &schema, &chunk).unwrap();
    write_parquet(&world.path("rows.parquet"), &schema, chunk).unwrap();
    let buyer = world.ok("buyer", &["id"]);
    for (name, file) in [("ipc", "rows.arrow"), ("parquet", "rows.parquet")] {
        world.publish(file, &["--name", name]);
        world.ok("owner", &["grant", name, "--to", buyer.trim(), "--out", &world.text(name)]);
    }
    // The copies that jobs read are ordered by person, whole, without the row that has none.
    let copies = std::fs::read_dir(world.path("owner/datasets")).unwrap().map(|e| e.unwrap().path());
    let copies: Vec<_> = copies.filter(|p| p.to_string_lossy().ends_with(".clustered.parquet")).collect();
    assert_eq!(copies.len(), 3, "two here and one of CSV");
    let mut of_eighty = 0;
    for copy in copies {
        let (schema, rows) = read_parquet(&copy).unwrap();
        let people: Vec<_> = column::<Int64Array>(&schema, &rows, "person").into_iter().flatten().collect();
        assert!(people.iter().all(Option::is_some) && people.is_sorted(), "{people:?}");
        of_eighty += usize::from(people.len() == 80);
    }
    assert_eq!(of_eighty, 2);
    let node = world.serve(None);
    for name in ["ipc", "parquet"] {
        let job = world.path(&format!("{name}.toml"));
        let query = "SELECT city, COUNT(DISTINCT person) AS people, SUM(spend) AS spend FROM dataset GROUP BY city";
        let keys = "keys = [[\"north\"], [\"south\"]]";
        std::fs::write(&job, format!("dataset = \"{name}\"\nrho = 0.2\n[sql]\nquery = \"{query}\"\n{keys}\n")).unwrap();
        let (job, grant) = (job.display().to_string(), world.text(name));
        let (csv, json) = (world.text(&format!("{name}.out.csv")), world.text(&format!("{name}.out.json")));
        for out in [&csv, &json] {
            let mut args = world.run_args(&job, &node.address, &grant);
            args.extend(["--out", out.as_str()]);
            let shown: serde_json::Value = serde_json::from_str(&world.ok("buyer", &args)).unwrap();
            let text = std::fs::read_to_string(out).unwrap();
            // A count has no decimal places in CSV.
            let value = shown["result"]["rows"][0]["cells"][0]["value"].as_f64().unwrap();
            assert!(text.contains("north") && text.contains(&value.to_string()), "{out}: {text}");
            assert!(out == &json || text.contains(&format!("north,{value},")), "{out}: {text}");
        }
        assert!(std::fs::read_to_string(&csv).unwrap().starts_with("city,people,people_low,people_high,spend,"));
        let (arrow, parquet) = (world.text(&format!("{name}.out.arrow")), world.text(&format!("{name}.out.parquet")));
        for (out, read) in [(&arrow, read_ipc as fn(&Path) -> _), (&parquet, read_parquet)] {
            let mut args = world.run_args(&job, &node.address, &grant);
            args.extend(["--out", out.as_str()]);
            let shown: serde_json::Value = serde_json::from_str(&world.ok("buyer", &args)).unwrap();
            let (schema, rows) = read(Path::new(out)).unwrap();
            let keys: Vec<_> = column::<Utf8Array<i32>>(&schema, &rows, "city").into_iter().flatten().collect();
            assert_eq!(keys, [Some("north"), Some("south")]);
            for (i, name) in ["people", "spend"].into_iter().enumerate() {
                for (part, field) in [("", "value"), ("_low", "low"), ("_high", "high")] {
                    let read = column::<Float64Array>(&schema, &rows, &format!("{name}{part}"));
                    let read: Vec<f64> = read.into_iter().flatten().map(|v| *v.unwrap()).collect();
                    let shown: Vec<f64> =
                        (0..2).map(|row| shown["result"]["rows"][row]["cells"][i][field].as_f64().unwrap()).collect();
                    assert_eq!(read, shown, "{name}{part} in {out}");
                }
            }
        }
    }
}
