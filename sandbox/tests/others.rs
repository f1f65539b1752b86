//! What an engine that shares nothing with this one is asked by `interop/differential.py`: the generated tables and queries, with our answers, as files. The files of the tables may
//! have been written anew by others in between.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

use parquet::arrow::ArrowWriter;
use serde_json::{Value as Json, json};
use tidegate_protocol::job::Key;

use crate::{
    common::{
        duckdb::for_duckdb,
        neighbours,
        plain::documented,
        queries::{Choices, query},
        tables::{self, Dice},
    },
    differential::{NAMES, Value, World},
};

const TABLES: u32 = 24;

fn folder() -> PathBuf {
    std::env::var_os("TIDEGATE_OTHERS").unwrap().into()
}

fn table(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("table-{number}.parquet"))
}

#[test]
#[ignore = "interop/differential.py asks for it"]
fn tables_for_others() {
    let folder = folder();
    let write = |path: PathBuf, batch: &arrow::array::RecordBatch| {
        let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
    };
    (0..TABLES).for_each(|number| write(table(&folder, number), &tables::table(number)));
    write(folder.join("place.parquet"), &neighbours::place());
}

/// A number that JSON has none for is its word.
fn json_of(key: &Key) -> Json {
    match key {
        Key::Null => Json::Null,
        Key::Bool(b) => (*b).into(),
        Key::Int(i) => (*i).into(),
        Key::Float(f) if f.is_finite() => (*f).into(),
        Key::Float(f) => f.to_string().into(),
        Key::Text(text) => text.clone().into(),
    }
}

#[tokio::test]
#[ignore = "interop/differential.py asks for it"]
async fn answers_for_others() {
    let folder = folder();
    let count: u32 = std::env::var("TIDEGATE_QUERIES").map_or(3000, |n| n.parse().unwrap());
    let world = |number| World::of_file(File::open(table(&folder, number)).unwrap(), tables::table(number), tables::COLUMNS);
    let worlds: Vec<World> = (0..TABLES).map(world).collect();
    let mut out = File::create(folder.join("answers.jsonl")).unwrap();
    for seed in 0..count {
        let bytes: [u8; 256] = Dice::new("others", seed).bytes();
        let text = query(&mut Choices::of_names(&bytes, &NAMES)).replace(" LIMIT 3", "");
        let number = seed % TABLES;
        let Ok(((names, rows), keys)) = worlds[number as usize].governed(&text).await else { continue };
        // Where the grid says nothing of a number, nobody is to look at it.
        let near = |value: &Value| if value.within.is_finite() { json!(value.within) } else { Json::Null };
        let within: Vec<Vec<Json>> = rows.iter().map(|row| row.iter().map(near).collect()).collect();
        let rows: Vec<Vec<Json>> = rows.iter().map(|row| row.iter().map(|value| json_of(&value.key)).collect()).collect();
        let told = json!({
            "seed": seed, "table": number, "query": text, "duckdb": for_duckdb(&documented(&text)), "names": names, "keys": keys, "rows": rows,
            "within": within,
        });
        writeln!(out, "{told}").unwrap();
    }
}
