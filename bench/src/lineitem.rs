//! Queries shaped like TPC-H's Q1 and Q6 over a table shaped like its lineitem, with the customer as privacy unit: ten aggregates
//! over forty rows per unit.

use std::{fs::File, sync::Arc};

use arrow::array::{ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use tidegate_protocol::{job::Program, policy::PolicyFile};
use tidegate_sandbox::{Help, admit, run as run_job, units};

use crate::{
    measure::{in_turn, write_rows},
    sql::{Plain, job, mix},
};

const POLICY: &str = r#"
    unit = { column = "custkey", max_units = 10000000, max_rows = 60, max_groups = 4 }
    budget = { delta = 1e-9, rho = 100.0, per_buyer_rho = 100.0 }
    jobs = { kinds = ["sql"], min_units = 10, fuel = 1000000, memory_mib = 16, slot = "900s", tick = "1s" }
    access = { compute = "granted", replicate = "nobody" }
    sql = { rows = 100000000 }
    [columns]
    quantity = { lo = 0, hi = 50 }
    extendedprice = { lo = 0, hi = 100000 }
    discount = { lo = 0, hi = 0.1 }
    tax = { lo = 0, hi = 0.08 }
    shipdate = {}
    returnflag = { chars = 1 }
    linestatus = { chars = 1 }
"#;

const Q1: &str = "SELECT returnflag, linestatus, SUM(quantity) AS q, SUM(extendedprice) AS p, SUM(extendedprice * (1 - discount)) AS d, \
    SUM(extendedprice * (1 - discount) * (1 + tax)) AS c, AVG(quantity) AS aq, AVG(extendedprice) AS ap, AVG(discount) AS ad, COUNT(*) AS n \
    FROM dataset WHERE shipdate <= DATE '1998-09-02' GROUP BY returnflag, linestatus ORDER BY returnflag, linestatus";
const Q6: &str = "SELECT SUM(extendedprice * discount) AS revenue FROM dataset WHERE shipdate >= DATE '1994-01-01' \
    AND shipdate < DATE '1995-01-01' AND discount BETWEEN 0.05 AND 0.07 AND quantity < 24";

fn generate(path: &std::path::Path, rows: usize) -> anyhow::Result<()> {
    write_rows(path, rows, |range| {
        let number = |salt: u64, below: u64, scale: f64| -> ArrayRef {
            Arc::new(range.clone().map(|i| (mix(i as u64 ^ (salt << 40)) % below) as f64 * scale).collect::<Float64Array>())
        };
        let letter = |salt: u64, of: &'static [&'static str]| -> ArrayRef {
            let pick = move |i: usize| of[(mix(i as u64 ^ (salt << 40)) % of.len() as u64) as usize];
            Arc::new(range.clone().map(|i| Some(pick(i))).collect::<StringArray>())
        };
        // 1992-01-01 and the following seven years.
        let dates = range.clone().map(|i| 8035 + (mix(i as u64 ^ (7 << 40)) % 2556) as i32).map(Some).collect::<Date32Array>();
        RecordBatch::try_from_iter([
            ("custkey", Arc::new(range.clone().map(|i| (i / 40) as i64).collect::<Int64Array>()) as ArrayRef),
            ("quantity", number(1, 50, 1.0)),
            ("extendedprice", number(2, 10_000_000, 0.01)),
            ("discount", number(3, 11, 0.01)),
            ("tax", number(4, 9, 0.01)),
            ("returnflag", letter(5, &["A", "N"])),
            ("linestatus", letter(6, &["F", "O"])),
            ("shipdate", Arc::new(dates) as ArrayRef),
        ])
    })
}

pub(crate) fn run(rows: usize) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("lineitem.parquet");
    generate(&path, rows)?;
    let policy = PolicyFile::parse(POLICY)?.check(|e, _| Some(e))?;
    let file = File::open(&path)?;
    let schema = units::schema(&file)?;
    let plain = Plain::new(&path)?;
    for (name, query) in [("Q1", Q1), ("Q6", Q6)] {
        let admitted = admit(&job(Program::Sql { query: query.into(), keys: None, tables: None }), &policy, &schema, None)?;
        let governed = || Ok(run_job(&admitted, &[file.try_clone()?], &[0; 32], Help::default())?);
        let (governed, floor) = in_turn(7, governed, || plain.run(query))?;
        println!(
            "lineitem: {name} over {rows} rows: governed {governed:.3} s, DataFusion {floor:.3} s: ratio {:.2}",
            governed / floor
        );
    }
    Ok(())
}
