use std::{fs::File, sync::Arc};

use arrow::array::{ArrayRef, Float64Array, Int64Array};
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
use tidegate_protocol::{
    ContentHash,
    device::Place,
    job::{Blocks, Program, Reducer},
    policy::PolicyFile,
};

use super::*;
use crate::wasm::Layout;
use crate::{Attachment, Piece, sql::admit_select, wasm::guest::Asked};

const POLICY: &str = r#"
    unit = { column = "person", max_units = 2000, max_rows = 3, max_groups = 1 }
    budget = { delta = 1e-9, rho = 100.0, per_buyer_rho = 100.0 }
    jobs = { kinds = ["wasm"], min_units = 10, fuel = 1000000, memory_mib = 4, slot = "60s", tick = "1s" }
    access = { compute = "granted", replicate = "nobody" }
    columns = { spend = { lo = 0, hi = 1000 } }
"#;

/// 1500 people of one to four rows, in row groups of `group` rows; some values are missing.
fn file(group: usize) -> File {
    let people: Vec<i64> = (0..1500).flat_map(|p| std::iter::repeat_n(p, p as usize % 4 + 1)).collect();
    let spend = (0..people.len()).map(|i| (i % 11 != 0).then_some((i * 37 % 4001) as f64)).collect::<Float64Array>();
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("person", Arc::new(Int64Array::from(people)) as ArrayRef, true),
        ("spend", Arc::new(spend) as ArrayRef, true),
    ])
    .unwrap();
    let mut file = tempfile::tempfile().unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    file
}

fn asked(split: Split, outputs: Vec<Output>) -> Asked {
    Asked::of(&Program::Wasm {
        infer: None,
        on: None,
        module: ContentHash([0; 32]),
        select: String::new(),
        params_base64: String::new(),
        data: None,
        split,
        outputs,
    })
    .unwrap()
}

/// Whoever calls when, however rows lie in files, whatever a guest does: the same integers.
#[test]
fn the_sums_do_not_depend_on_threads_or_batches() {
    let policy = PolicyFile::parse(POLICY).unwrap().check(|e, _| Some(e)).unwrap();
    for (name, split) in [
        ("heavy", Split::Unit),
        ("heavy", Split::Blocks(Blocks::of(7))),
        ("heavy", Split::Blocks(Blocks::of(300))),
        ("heavy", Split::Blocks(Blocks { number: 30, resample: 4 })),
        ("leak", Split::Unit),
        ("trap", Split::Unit),
        ("spin", Split::Blocks(Blocks::of(40))),
    ] {
        let mut seen = Vec::new();
        let room = Room { window: 64 << 20, blocks: u32::MAX, block: 4 << 20 };
        let (narrow, least) = (Room { window: 900, blocks: 4, ..room }, Room { window: 0, blocks: 1, ..room });
        for (group, ways, room) in [(100_000, 1, room), (100_000, 2, room), (50, 1, narrow), (333, 5, room), (333, 2, least)] {
            let file = [file(group)];
            let schema = crate::units::schema(&file[0]).unwrap();
            let select = admit_select("SELECT spend FROM dataset", split, &schema, &policy).unwrap();
            let output = |name: &str, hi| Output { name: name.into(), lo: 0.0, hi, reducer: Reducer::Sum, default: 0.0 };
            let outputs = vec![output("mean", 4096.0), output("heavy", 1.0)];
            let bytes = tidegate_fixtures::guest(name).unwrap();
            let plan = Plan::new(crate::job::program_shape(&outputs, split)).unwrap();
            let guest = Guest::admit((&Attachment::from(bytes), Layout::FAR), select, asked(split, outputs), &policy, Place::Cpu)
                .unwrap();
            seen.push(guest.run_over(ways, None, &plan, &file, &[7; 32], room).unwrap());
        }
        assert!(seen.iter().all(|one| *one == seen[0]), "{name} {split:?}");
        let units = if let Split::Blocks(blocks) = split { i64::from(blocks.number) } else { 1500 };
        assert_eq!(seen[0].units, units, "{name} {split:?}");
        assert!(name != "heavy" || seen[0].lanes[0] > 0, "{name} {split:?}");
    }
}

/// Whatever pieces a program is run in, by units or by blocks: the sums of all.
#[test]
fn pieces_add_up_to_the_whole() {
    let policy = PolicyFile::parse(POLICY).unwrap().check(|e, _| Some(e)).unwrap();
    for split in [Split::Unit, Split::Blocks(Blocks { number: 30, resample: 4 })] {
        let files = [file(333)];
        let schema = crate::units::schema(&files[0]).unwrap();
        let select = admit_select("SELECT spend FROM dataset", split, &schema, &policy).unwrap();
        let output = |name: &str, hi| Output { name: name.into(), lo: 0.0, hi, reducer: Reducer::Sum, default: 0.0 };
        let outputs = vec![output("mean", 4096.0), output("heavy", 1.0)];
        let bytes = tidegate_fixtures::guest("heavy").unwrap();
        let plan = Plan::new(crate::job::program_shape(&outputs, split)).unwrap();
        let guest =
            Guest::admit((&Attachment::from(bytes), Layout::FAR), select, asked(split, outputs), &policy, Place::Cpu).unwrap();
        let room = Room { window: 64 << 20, blocks: 7, block: 4 << 20 };
        let whole = guest.run_over(2, None, &plan, &files, &[7; 32], room).unwrap();
        let pieces: Vec<Piece> = match split {
            Split::Blocks(_) => [(0, 11), (11, 12), (12, 30)].map(|(from, to)| Piece::Blocks { from, to }).to_vec(),
            Split::Unit => {
                let found = crate::units::cuts(&files, &schema, "person", 9).unwrap();
                let ends: Vec<u64> = [0].into_iter().chain(found.at).chain([found.to]).collect();
                ends.windows(2).map(|part| Piece::Rows { from: part[0], to: part[1] }).collect()
            }
        };
        let mut sum = plan.group(vec![]);
        for piece in pieces {
            let part = guest.run_over(2, None, &plan, Extent::of(&files, Some(piece)), &[7; 32], room).unwrap();
            sum.units += part.units;
            sum.lanes.iter_mut().zip(part.lanes).for_each(|(sum, lane)| *sum += lane);
        }
        assert_eq!(sum, whole, "{split:?}");
    }
}

/// A block with more rows than a guest could take has the default, as its call would; the others are as they were.
#[test]
fn a_block_beyond_a_guests_memory_has_the_default() {
    let policy = PolicyFile::parse(POLICY).unwrap().check(|e, _| Some(e)).unwrap();
    let file = [file(500)];
    let schema = crate::units::schema(&file[0]).unwrap();
    let output = |name: &str, hi| Output { name: name.into(), lo: 0.0, hi, reducer: Reducer::Sum, default: 0.0 };
    let outputs = vec![output("mean", 4096.0), output("heavy", 1.0)];
    let bytes = tidegate_fixtures::guest("heavy").unwrap();
    let split = Split::Blocks(Blocks::of(3));
    let select = admit_select("SELECT spend FROM dataset", split, &schema, &policy).unwrap();
    let plan = Plan::new(crate::job::program_shape(&outputs, split)).unwrap();
    let guest =
        Guest::admit((&Attachment::from(bytes), Layout::FAR), select, asked(split, outputs), &policy, Place::Cpu).unwrap();
    let lanes = |block: usize| {
        let sums = guest.run_over(2, None, &plan, &file, &[7; 32], Room { window: 100, blocks: 2, block }).unwrap();
        assert_eq!(sums.units, 3);
        sums.lanes
    };
    // Some 10 000 bytes a block: all of them fit, or none.
    assert!(lanes(1 << 20)[0] > 0);
    assert_eq!(lanes(1000), [0, 0]);
}
