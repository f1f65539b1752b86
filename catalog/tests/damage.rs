//! Damaged files of every format: an error that names the file comes out, or rows do; never a panic, and never more memory than there is.

use std::{path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::UInt8Type,
    ipc::{
        CompressionType,
        writer::{FileWriter, IpcWriteOptions, StreamWriter},
    },
};
use parquet::{arrow::ArrowWriter, basic::Compression, file::properties::WriterProperties};
use tidegate_catalog::dataset;

use crate::files::policy;

fn rows() -> RecordBatch {
    let text = |i: i64| (i % 5 != 0).then(|| format!("value {}", i % 7));
    let kinds: DictionaryArray<UInt8Type> = (0..200).map(|i| Some(["north", "south", "east"][i % 3])).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("person", Arc::new((0..200).collect::<Int64Array>()) as ArrayRef, true),
        ("x", Arc::new((0..200).map(|i| (i % 9 != 0).then_some(f64::from(i) / 4.0)).collect::<Float64Array>()), true),
        ("t", Arc::new((0..200).map(text).collect::<StringArray>()), true),
        ("k", Arc::new(kinds), true),
    ])
    .unwrap()
}

fn text(between: char) -> String {
    (0..200).fold(format!("person{between}x{between}t{between}k\n"), |all, i| {
        all + &format!("{i}{between}{}{between}\"a {i}\"{between}north\n", f64::from(i) / 4.0)
    })
}

/// The same rows in every format that is read.
fn formats() -> Vec<(&'static str, Vec<u8>)> {
    let rows = rows();
    let parquet = |compression, dictionary| {
        let properties = WriterProperties::builder().set_compression(compression).set_dictionary_enabled(dictionary);
        let properties = properties.set_max_row_group_row_count(Some(90)).build();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties)).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
        bytes
    };
    let options = |packed: Option<CompressionType>| IpcWriteOptions::default().try_with_compression(packed).unwrap();
    let file = |packed| {
        let mut writer = FileWriter::try_new_with_options(Vec::new(), &rows.schema(), options(packed)).unwrap();
        writer.write(&rows).unwrap();
        writer.finish().unwrap();
        writer.into_inner().unwrap()
    };
    let stream = |packed| {
        let mut writer = StreamWriter::try_new_with_options(Vec::new(), &rows.schema(), options(packed)).unwrap();
        writer.write(&rows).unwrap();
        writer.finish().unwrap();
        writer.into_inner().unwrap()
    };
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, text(',').as_bytes()).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    std::io::Write::write_all(&mut bzip2, text(',').as_bytes()).unwrap();
    let json: String = (0..200).map(|i| format!("{{\"person\":{i},\"x\":{i},\"t\":\"a\",\"k\":\"b\"}}\n")).collect();
    let wide = std::iter::once(0xfeff).chain(text(';').encode_utf16()).flat_map(u16::to_le_bytes).collect();
    vec![
        ("plain.parquet", parquet(Compression::UNCOMPRESSED, true)),
        ("snappy.parquet", parquet(Compression::SNAPPY, false)),
        ("zstd.parquet", parquet(Compression::ZSTD(Default::default()), true)),
        ("plain.arrow", file(None)),
        ("lz4.arrow", file(Some(CompressionType::LZ4_FRAME))),
        ("stream.arrow", stream(None)),
        ("zstd-stream.arrow", stream(Some(CompressionType::ZSTD))),
        ("packed.csv.gz", packed.finish().unwrap()),
        ("packed.csv.bz2", bzip2.finish().unwrap()),
        ("zstd.csv.zst", zstd::encode_all(text(',').as_bytes(), 1).unwrap()),
        ("wide.csv", wide),
        ("rows.jsonl", json.into_bytes()),
    ]
}

/// A number that follows from the one before (Knuth's MMIX).
fn next(draw: &mut u64) -> usize {
    *draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*draw >> 33) as usize
}

fn damaged(good: &[u8], draw: &mut u64) -> Vec<u8> {
    let mut bad = good.to_vec();
    match next(draw) % 8 {
        0 => bad.truncate(next(draw) % good.len()),
        1 => bad.drain(next(draw) % good.len()..).for_each(drop),
        kind => {
            for _ in 0..1 + next(draw) % 3 {
                // Where sizes stand: at both ends.
                let near = next(draw) % good.len().min(700);
                let at = [near, good.len() - 1 - near, next(draw) % good.len()][kind % 3];
                bad[at] ^= 1 << (next(draw) % 8);
            }
        }
    }
    bad
}

fn is_read(path: &Path, whole: bool) -> Result<(), String> {
    let policy = policy("columns = { x = {}, t = {}, k = {} }");
    let tables = dataset::tables(&[path.to_owned()], &policy).map_err(|e| e.to_string())?;
    if whole {
        let copy = path.with_file_name("copy.parquet");
        let laid = dataset::profile(&tables, &policy, None, &copy, &mut |_, _| {});
        assert!(!copy.with_extension("tmp").exists(), "left behind");
        drop(std::fs::remove_file(copy));
        return laid.map(drop).map_err(|e| e.to_string());
    }
    dataset::schema(&tables, &policy).map_err(|e| e.to_string())?;
    dataset::open(path).map_err(|e| e.to_string())?.try_for_each(|batch| batch.map(drop).map_err(|e| e.to_string()))
}

#[test]
fn any_bytes_in_and_an_error_or_rows_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut draw = 7;
    for (name, good) in formats() {
        let path = dir.path().join(name);
        std::fs::write(&path, &good).unwrap();
        assert_eq!(is_read(&path, true), Ok(()), "{name}");
        let mut failed = 0;
        for round in 0..300 {
            std::fs::write(&path, damaged(&good, &mut draw)).unwrap();
            if let Err(said) = is_read(&path, round % 10 == 0) {
                failed += 1;
                assert!(!said.is_empty());
            }
        }
        assert!(failed > 10, "{name}: {failed}");
        std::fs::remove_file(&path).unwrap();
    }
}

/// A file that unpacks to one value without an end takes no more memory than a value may.
#[test]
fn a_value_without_an_end_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bomb.csv.zst");
    let mut bytes = zstd::encode_all(&b"person,x,t,k\n1,1,a,"[..], 1).unwrap();
    let more = zstd::encode_all(&vec![b'1'; 16 << 20][..], 1).unwrap();
    (0..5).for_each(|_| bytes.extend_from_slice(&more));
    std::fs::write(&path, bytes).unwrap();
    for whole in [false, true] {
        let said = is_read(&path, whole).unwrap_err();
        assert!(said.contains("bomb.csv.zst") && said.contains("64 MiB"), "{said}");
    }
}

/// Pages that carry a checksum are held against it.
#[test]
fn a_page_that_is_not_what_its_checksum_says_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    // Written without packing, of which damage would be found anyway.
    let good = std::fs::read(crate::files::fixture("written/pyarrow-checksums.parquet")).unwrap();
    let at = good.windows(7).position(|bytes| bytes == b"say \"hi").unwrap();
    let read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        crate::files::laid_out(std::slice::from_ref(&path), &policy("columns = { t = {} }")).map(|_| ())
    };
    assert!(read(&good).is_ok());
    let mut bad = good.clone();
    bad[at] ^= 1;
    let said = read(&bad).unwrap_err();
    assert!(said.contains("a.parquet") && said.contains("CRC"), "{said}");
}
