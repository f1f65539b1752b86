use std::{collections::BTreeMap, fs::File, sync::Arc};

use arrow::{
    array::{Int64Array, RecordBatch, StringArray},
    row::{RowConverter, SortField},
};
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
use tidegate_gate::{Plan, Sums};
use tidegate_protocol::{
    job::{Key, Split},
    limits,
    policy::PolicyFile,
};

use super::*;
use crate::sql::{Asked, admit_query};

mod meaning;

const POLICY: &str = r#"
    unit = { column = "person", max_units = 1000, max_rows = 3, max_groups = 2 }
    budget = { delta = 1e-9, rho = 100.0, per_buyer_rho = 100.0 }
    jobs = { kinds = ["sql"], min_units = 10, fuel = 1000000, memory_mib = 16, slot = "600s", tick = "1s" }
    access = { compute = "granted", replicate = "nobody" }
    columns = { spend = { lo = 0, hi = 1000 }, cell = {} }
"#;

/// Neighbours often share it.
fn cell(row: i64) -> String {
    format!("c{}", row / 3 * 7 % 5)
}

/// A file of row groups of `group` rows; units are as given, `None` is NULL.
fn file(units: &[Option<i64>], group: usize) -> File {
    let n = units.len() as i64;
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("person", Arc::new(Int64Array::from(units.to_vec())) as ArrayRef, true),
        ("cell", Arc::new((0..n).map(|i| Some(cell(i))).collect::<StringArray>()) as ArrayRef, true),
        ("spend", Arc::new((0..n).map(|i| i * 37 % 1009).collect::<Int64Array>()) as ArrayRef, true),
    ])
    .unwrap();
    let mut file = tempfile::tempfile().unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    file
}

fn sums(ways: usize, sql: &str, files: &[File]) -> Result<Sums, RunError> {
    sums_within(None, ways, sql, files)
}

fn sums_within(spill: Option<&Spill>, ways: usize, sql: &str, files: &[File]) -> Result<Sums, RunError> {
    sums_by(POLICY, spill, ways, sql, files)
}

fn sums_by(policy: &str, spill: Option<&Spill>, ways: usize, sql: &str, files: &[File]) -> Result<Sums, RunError> {
    let policy = PolicyFile::parse(policy).unwrap().check(|e, _| Some(e)).unwrap();
    let schema = crate::units::schema(&files[0]).unwrap();
    let query = admit_query(&Asked::new(sql), &schema, &policy).unwrap();
    let plan = Plan::new(query.shape.clone()).unwrap();
    let mut sums = Sums::default();
    let leaves = query.input.leaves();
    let scan = Scan::open(files, &leaves, 0)?;
    run_over(ways, &scan, &query, &plan, &[7; 32], Room { spill, least_units: 0 }, &mut |groups| {
        sums.groups.extend(groups);
        Ok(())
    })?;
    sums.groups.sort_by_key(|g| format!("{:?}", g.key));
    Ok(sums)
}

const SQL: &str = "SELECT cell, COUNT(*) AS n, SUM(spend) AS s, AVG(spend) AS m FROM dataset WHERE spend > 90 GROUP BY cell";

const JOINED: &str = "SELECT a.cell, COUNT(*) AS n, SUM(b.spend) AS s FROM dataset a JOIN dataset b ON a.person = b.person AND a.spend < b.spend \
                      WHERE a.spend > 90 GROUP BY a.cell";
const TWICE: &str = "SELECT a.cell, COUNT(*) AS n, SUM(b.m) AS s, COUNT(c.spend) FROM dataset a LEFT JOIN \
                     (SELECT person, MAX(spend) AS m FROM dataset WHERE spend > 500 GROUP BY person) b USING (person) \
                     LEFT JOIN dataset c ON a.person = c.person AND a.cell = c.cell AND c.spend < 300 GROUP BY a.cell";

/// Units that lie across row groups, across several, across files, and NULL units: whatever the split, one sum.
#[test]
fn the_number_of_threads_does_not_change_the_sums() {
    let uneven: Vec<_> = (0..400i64).map(|i| (i % 11 != 3).then_some(i / 9)).collect();
    let long: Vec<_> = (0..300i64)
        .map(|i| {
            Some(if i < 40 {
                0
            } else if i < 250 {
                1
            } else {
                i
            })
        })
        .collect();
    let missing: Vec<_> = (0..200i64).map(|i| (i < 90).then_some(i / 4)).collect();
    for units in [&uneven, &long, &missing] {
        for group in [16, 17, 64] {
            let whole = [file(units, group)];
            let (a, b) = units.split_at(units.len() / 3);
            for sql in [SQL, JOINED, TWICE] {
                let alone = sums(1, sql, &whole).unwrap();
                assert!(alone.groups.iter().any(|g| g.units > 0), "something is counted");
                for ways in 2..9 {
                    assert!(sums(ways, sql, &whole).unwrap() == alone, "{sql}: {ways} threads, row groups of {group}");
                }
            }
            // Rows are numbered anew in each file, so only the number of threads may differ here.
            let two = [file(a, group), file(b, group)];
            assert!(sums(5, SQL, &two).unwrap() == sums(1, SQL, &two).unwrap(), "two files, row groups of {group}");
        }
    }
}

/// By hand, row by row, in one map: what the fold must come to, whatever batches a unit lies across and however many groups it is in.
#[test]
fn the_fold_agrees_with_sums_by_hand() {
    // Units of forty rows, of seven, of two and of one: with and without a tally.
    let unit = |i| match i {
        0..200 => i / 40,
        200..500 => i / 7,
        500..1200 => i / 2,
        _ => i,
    };
    let units: Vec<_> = (0..1500i64).map(|i| Some(unit(i))).collect();
    let files = [file(&units, 23)];
    let query =
        "SELECT cell, COUNT(*) AS n, SUM(spend) AS s, COUNT(DISTINCT person) AS p, AVG(spend) AS m FROM dataset GROUP BY cell";
    let encode = RowConverter::new(vec![SortField::new(DataType::Utf8)]).unwrap();
    let mut by_unit: BTreeMap<i64, BTreeMap<String, (i64, f64)>> = BTreeMap::new();
    for (i, unit) in (0i64..).zip(&units) {
        let group = by_unit.entry(unit.unwrap()).or_default().entry(cell(i)).or_default();
        *group = (group.0 + 1, group.1 + (i * 37 % 1009).min(1000) as f64);
    }
    let step = 2f64.powi(10 - 20);
    // Less the middle of the bounds, and of more than three rows three's worth.
    let centred = |rows: i64, spend: f64| {
        let steps = ((spend - 500.0 * rows as f64) / (step / 2.0)) as i128;
        if rows > 3 { steps * 3 / i128::from(rows) } else { steps }
    };
    let mut expected: BTreeMap<String, (i64, i128, f64, i128)> = BTreeMap::new();
    for (unit, groups) in by_unit {
        let mut ranked: Vec<_> = groups.into_iter().collect();
        ranked.sort_by_key(|(cell, _)| {
            let key = encode.convert_columns(&[Arc::new(StringArray::from(vec![cell.as_str()])) as ArrayRef]).unwrap();
            let mut hash = blake3::Hasher::new_keyed(&[7; 32]);
            hash.update(&8u64.to_le_bytes()).update(&unit.to_le_bytes()).update(key.row(0).data());
            *hash.finalize().as_bytes()
        });
        for (cell, (rows, spend)) in ranked.into_iter().take(2) {
            let group = expected.entry(cell).or_default();
            *group =
                (group.0 + 1, group.1 + i128::from(rows.min(3)), group.2 + spend.min(3000.0), group.3 + centred(rows, spend));
        }
    }
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(cell, (units, rows, spend, centred))| {
            (cell, units, vec![rows, (spend / step) as i128, i128::from(units), centred, rows])
        })
        .collect();
    for ways in [1, 4] {
        let got: Vec<_> = sums(ways, query, &files)
            .unwrap()
            .groups
            .into_iter()
            .map(|g| {
                let [Key::Text(cell)] = g.key.as_slice() else { panic!("{:?}", g.key) };
                (cell.clone(), g.units, g.lanes)
            })
            .collect();
        assert_eq!(got, expected, "{ways} threads");
    }
}

/// Whatever pieces the rows are run in, and whatever a worker that died left behind in the file: the sums of all.
#[test]
fn pieces_add_up_to_the_whole() {
    let units: Vec<_> = (0..900i64).map(|i| (i % 13 != 4).then_some(i / 7)).collect();
    let policy = PolicyFile::parse(POLICY).unwrap().check(|e, _| Some(e)).unwrap();
    const TOTAL: &str = "SELECT COUNT(*) AS n, SUM(spend) AS s FROM dataset";
    const SETS: &str =
        "SELECT cell, spend % 3 AS k, COUNT(*) AS n FROM dataset GROUP BY GROUPING SETS ((cell), (cell, spend % 3), ())";
    for group in [31, 100_000] {
        let files = [file(&units, group)];
        let schema = crate::units::schema(&files[0]).unwrap();
        for sql in [SQL, JOINED, TWICE, TOTAL, SETS] {
            let whole = sums(1, sql, &files).unwrap();
            let query = admit_query(&Asked::new(sql), &schema, &policy).unwrap();
            let plan = Plan::new(query.shape.clone()).unwrap();
            for most in [1, 3, 40] {
                let found = crate::units::cuts(&files, &schema, "person", most).unwrap();
                let ends: Vec<u64> = [found.from].into_iter().chain(found.at).chain([found.to]).collect();
                let (spilled, mut end) = (tempfile::tempfile().unwrap(), 0);
                let (mut groups, mut written) = (BTreeMap::<String, GroupSums>::new(), vec![]);
                for part in ends.windows(2) {
                    let extent = Extent::of(&files, Some(crate::Piece::Rows { from: part[0], to: part[1] }));
                    for dies in [true, false] {
                        let spill = Spill::new(spilled.try_clone().unwrap(), 4000).after(end);
                        let mut some = vec![];
                        let kept = run_piece(&query, &plan, extent, &[7; 32], &spill, &mut |groups| {
                            some.extend(groups);
                            Ok(())
                        });
                        if dies {
                            continue;
                        }
                        written.push(kept.unwrap());
                        end = spill.end();
                        for group in some {
                            let all = groups.entry(format!("{:?}", group.key)).or_insert_with(|| plan.group(group.key.clone()));
                            all.units += group.units;
                            all.lanes.iter_mut().zip(&group.lanes).for_each(|(all, one)| *all += one);
                        }
                    }
                }
                let spill = Spill::new(spilled, 4000).after(end);
                let mut all: Vec<GroupSums> = groups.into_values().collect();
                add_up(&query, &plan, &[7; 32], (&spill, &written), 0, &mut |groups| {
                    all.extend(groups);
                    Ok(())
                })
                .unwrap();
                all.sort_by_key(|g| format!("{:?}", g.key));
                assert!(all == whole.groups, "{sql}: row groups of {group}, {most} cuts");
            }
        }
    }
}

/// However long its texts are, a batch of wide rows is no larger than one of narrow rows: there are fewer of them in it.
#[test]
fn wide_rows_come_in_small_batches() {
    let policy = PolicyFile::parse(POLICY).unwrap().check(|e, _| Some(e)).unwrap();
    let files = [file(&[Some(1)], 16)];
    let schema = crate::units::schema(&files[0]).unwrap();
    let rows = |columns: usize| {
        let columns = (0..columns).map(|i| format!("cell || '{i}'")).collect::<Vec<_>>().join(", ");
        let select = crate::sql::admit_select(&format!("SELECT {columns} FROM dataset"), Split::Unit, &schema, &policy).unwrap();
        Scan::open(&files, &[&select], 0).unwrap().batch
    };
    assert_eq!((rows(1), rows(2)), (8192, 8192));
    assert!(rows(100) * 100 * 4 * limits::TEXT_CHARS <= 256 << 20, "{}", rows(100));
}

/// What a buyer's texts make of joined rows, or of rows of units, comes in small pieces too.
#[test]
fn wide_rows_of_units_and_joins_come_in_small_pieces() {
    let policy = PolicyFile::parse(POLICY).unwrap().check(|e, _| Some(e)).unwrap();
    let units: Vec<_> = (0..2000i64).map(|i| Some(i / 20)).collect();
    let files = [file(&units, 2000)];
    let schema = crate::units::schema(&files[0]).unwrap();
    let largest = |from: &str, keys: usize| {
        let keys = (0..keys).map(|i| format!("'{i}' || x")).collect::<Vec<_>>().join(", ");
        let query = format!("SELECT COUNT(*) FROM {from} GROUP BY {keys}");
        let query = admit_query(&Asked::new(&query), &schema, &policy).unwrap();
        let leaves = query.input.leaves();
        let scan = Scan::open(&files, &leaves, 0).unwrap();
        let start = || Ok((Flow::new(&query.input, 16 << 20)?, 0, 0));
        let seen = scan.run_split(1, start, |(flow, most, all), chunks, at| {
            flow.take(&mut chunks.into_iter().map(Some).collect::<Vec<_>>(), Some(at), &mut |chunk| {
                (*most, *all) = (chunk.runs.len().max(*most), *all + chunk.runs.len());
                Ok(())
            })
        });
        let (mut flow, mut most, mut all) = seen.unwrap().pop().unwrap();
        flow.take(&mut [], None, &mut |chunk| {
            (most, all) = (chunk.runs.len().max(most), all + chunk.runs.len());
            Ok(())
        })
        .unwrap();
        (most, all)
    };
    let joined = "(SELECT a.spend AS x FROM dataset a JOIN dataset b ON a.person = b.person)";
    let by_unit = "(SELECT person, MAX(spend) AS x FROM dataset GROUP BY person)";
    for (from, rows) in [(joined, 100 * 400), (by_unit, 100)] {
        let (few, all) = largest(from, 1);
        assert_eq!(all, rows);
        let (many, all) = largest(from, 8);
        assert_eq!(all, rows);
        assert!(many * 8 * 4 * limits::TEXT_CHARS <= 16 << 20 && (few > many || rows == 100), "{from}: {few}, {many}");
    }
}

/// A unit that comes back later would be counted twice: refused, whichever threads saw its two places.
#[test]
fn units_out_of_order_are_refused_however_the_work_is_split() {
    let ordered: Vec<_> = (0..320i64).map(|i| Some(i / 5)).collect();
    for (from, to) in [(0, 200), (319, 3), (100, 300), (64, 128), (160, 0), (319, 160)] {
        let mut units = ordered.clone();
        units[to] = ordered[from];
        let file = [file(&units, 32)];
        for ways in 1..9 {
            let out = sums(ways, "SELECT COUNT(*) AS n FROM dataset", &file);
            assert!(matches!(out, Err(RunError::Unordered)), "row {from} at {to}, {ways} threads");
        }
    }
}

/// Groups that were written down, each batch or once in a while, in a part or in pieces of one, come to the same sums.
#[test]
fn groups_on_disk_are_groups_in_memory() {
    let units: Vec<_> = (0..3000i64).map(|i| Some(if i < 900 { i / 90 } else { i / 4 })).collect();
    let query = "SELECT cell || CAST(spend AS VARCHAR) AS k, spend > 500 AS b, COUNT(*) AS n, SUM(spend) AS s, MEDIAN(spend) AS m, \
                 COUNT(DISTINCT person) AS p FROM dataset GROUP BY 1, 2";
    for sql in [query, &query.replace("BY 1, 2", "BY ROLLUP (cell || CAST(spend AS VARCHAR), spend > 500)")] {
        let files = [file(&units, 37)];
        let alone = sums(1, sql, &files).unwrap();
        assert!(alone.groups.len() > 500, "{}", alone.groups.len());
        for (room, ways) in [(1, 1), (1, 4), (40 << 10, 1), (2 << 20, 3), (1 << 30, 2)] {
            let file = tempfile::tempfile().unwrap();
            let spill = Spill::new(file.try_clone().unwrap(), room);
            let spilled = sums_within(Some(&spill), ways, sql, &files).unwrap();
            assert!(spilled == alone, "room for {room} bytes, {ways} threads");
            assert_eq!(file.metadata().unwrap().len() > 0, room < 1 << 30);
        }
    }
}

/// Groups of one unit by the hundred, κ of them few or many, found one by one or by their index: the same, in memory and on disk.
#[test]
fn many_groups_of_a_unit_are_found_whatever_kappa_is() {
    let units: Vec<_> = (0..6000i64).map(|i| Some(i / 700)).collect();
    let files = [file(&units, 97)];
    let sql = "SELECT CAST(spend AS VARCHAR) || cell AS k, COUNT(*) AS n, SUM(spend) AS s FROM dataset GROUP BY 1";
    for kappa in [1, 31, 32, 33, 34, 100, 650, 5000] {
        let sums = |spill: Option<&Spill>, ways| {
            sums_by(&POLICY.replace("max_groups = 2", &format!("max_groups = {kappa}")), spill, ways, sql, &files)
        };
        let alone = sums(None, 1).unwrap();
        let units: i64 = alone.groups.iter().map(|g| g.units).sum();
        // Nine units of at most 700 groups, some of which have a few rows.
        assert!(units == 9 * kappa || kappa >= 650 && units > 9 * 400, "{units} for {kappa}");
        let spill = Spill::new(tempfile::tempfile().unwrap(), 1);
        assert!(sums(Some(&spill), 3).unwrap() == alone, "κ = {kappa}");
    }
}

/// One unit in very many groups leaves nothing behind but κ of them: the others are forgotten once they take room.
#[test]
fn lost_groups_are_forgotten() {
    let units: Vec<_> = (0..50_000i64).map(|_| Some(1)).collect();
    let query = "SELECT CAST(spend AS VARCHAR) AS k, COUNT(*) AS n FROM dataset GROUP BY 1";
    let place = tempfile::tempfile().unwrap();
    let spill = Spill::new(place.try_clone().unwrap(), 1);
    let sums = sums_within(Some(&spill), 1, query, &[file(&units, 1000)]).unwrap();
    assert_eq!(sums.groups.len(), 2);
    assert!(place.metadata().unwrap().len() < 4096, "{}", place.metadata().unwrap().len());
}
