//! Generated tables: each column of one of the types that it may have, with NULL, NaN, zeros of both signs and the ends of the types, and several rows a unit.

use std::{fs::File, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray},
    compute::{cast, nullif},
    datatypes::{DataType, Float32Type, Float64Type, Int64Type, TimeUnit},
};
use parquet::arrow::ArrowWriter;

/// Random numbers that are the same wherever they are drawn.
pub(crate) struct Dice(blake3::OutputReader);

impl Dice {
    pub(crate) fn new(name: &str, seed: u32) -> Self {
        Self(blake3::Hasher::new().update(name.as_bytes()).update(&seed.to_le_bytes()).finalize_xof())
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes);
        bytes
    }

    fn below(&mut self, n: usize) -> usize {
        u32::from_le_bytes(self.bytes()) as usize % n
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    /// One in `n` is NULL.
    fn maybe<T>(&mut self, n: usize, value: T) -> Option<T> {
        (self.below(n) > 0).then_some(value)
    }
}

/// Columns of generated tables, and bounds of those that have them: no value is beyond.
pub(crate) const COLUMNS: &str = r#"
spend = { lo = -100, hi = 100 }
visits = { lo = 0, hi = 100 }
price = { lo = -50, hi = 50 }
city = {}
grade = {}
flag = {}
day = {}
at = {}
until = {}
wild = {}
big = {}
exact = {}
raw = {}
mark = {}
"#;

/// Zones of times, and by how many seconds their clocks are ahead of UTC in all years that tables have.
const ZONES: [(&str, i64); 3] = [("UTC", 0), ("Asia/Kolkata", 19_800), ("-03:30", -12_600)];

fn time(unit: TimeUnit) -> DataType {
    DataType::Timestamp(unit, None)
}

/// `array` as `kind`: every value can be.
fn typed(array: ArrayRef, kind: &DataType) -> ArrayRef {
    let made = cast(&array, kind).unwrap();
    assert_eq!(made.null_count(), array.null_count(), "{kind}");
    made
}

/// Table number `seed`.
pub(crate) fn table(seed: u32) -> RecordBatch {
    use DataType::{
        Binary, BinaryView, Boolean, Date32, Date64, Decimal128, Dictionary, FixedSizeBinary, Float32, Float64, Int8, Int16,
        Int32, Int64, LargeBinary, LargeUtf8, UInt8, UInt16, UInt32, UInt64, Utf8, Utf8View,
    };
    let mut dice = Dice::new("table", seed);
    let rows = 20 + dice.below(60);
    let mut people: Vec<i64> = (0..rows).map(|_| dice.below(15) as i64).collect();
    people.sort_unstable();
    let text = |kinds: &[DataType], dice: &mut Dice, texts: &[&str], nulls| {
        let kind = dice.of(kinds);
        let texts: StringArray = (0..rows)
            .map(|_| {
                let one = dice.of(texts);
                dice.maybe(nulls, one)
            })
            .collect();
        typed(Arc::new(texts), &kind)
    };
    let whole = |kinds: &[DataType], dice: &mut Dice, values: &[i64], nulls| {
        let kind = dice.of(kinds);
        let values: Int64Array = (0..rows)
            .map(|_| {
                let one = dice.of(values);
                dice.maybe(nulls, one)
            })
            .collect();
        typed(Arc::new(values), &kind)
    };
    let float = |kinds: &[DataType], dice: &mut Dice, values: &[f64], nulls| {
        let kind = dice.of(kinds);
        let values: Float64Array = (0..rows)
            .map(|_| {
                let one = dice.of(values);
                dice.maybe(nulls, one)
            })
            .collect();
        typed(Arc::new(values), &kind)
    };
    let dictionary = |of: DataType| Dictionary(Box::new(Int32), Box::new(of));
    let texts = [Utf8, LargeUtf8, Utf8View, dictionary(Utf8), dictionary(LargeUtf8)];
    let spend =
        float(&[Float64, Float64, Float32], &mut dice, &[0.0, -0.0, 1.0, 1.5, -2.25, 3.0, 42.0, 99.5, -100.0, f64::NAN], 8);
    let visits =
        whole(&[Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64], &mut dice, &[0, 1, 2, 3, 5, 7, 9, 10, 100], 9);
    let price = float(&[Float64], &mut dice, &[0.0, 0.25, 0.5, 1.0, 1.5, 12.25, -3.75, 49.5], 7);
    let price = typed(price, &dice.of(&[Decimal128(10, 2), Decimal128(20, 4), Decimal128(38, 10), Float32]));
    let city = text(&texts, &mut dice, &["north", "south", "", "unique", "9", "2024-02-29", "Ünïcode", "a,b", "NaN", "0"], 6);
    let grade = text(&texts, &mut dice, &["even", "odd", "", "north"], 5);
    let flag = whole(&[Boolean], &mut dice, &[0, 1], 6);
    // From the year 1 to 9999, and days about 1970 and 2024.
    let days = [-719_162, -107_000, -1, 0, 1, 19_782, 19_783, 2_932_896];
    let day = typed(typed(whole(&[Int32], &mut dice, &days, 7), &Date32), &dice.of(&[Date32, Date32, Date64]));
    let near: Vec<i64> = [-86_400, -1, 0, 1, 86_399, 1_709_164_800, 1_709_164_801, 1_709_200_000].map(|s| s * 1_000_000).to_vec();
    let at = typed(whole(&[Int64], &mut dice, &near, 7), &time(TimeUnit::Microsecond));
    let kinds = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond].map(time);
    let at = typed(at, &dice.of(&kinds));
    let zones = ZONES.map(|(zone, _)| Some(zone));
    let at = match (dice.of(&[None, None, zones[0], zones[1], zones[2]]), at.data_type()) {
        (Some(zone), DataType::Timestamp(unit, _)) => typed(at.clone(), &DataType::Timestamp(*unit, Some(zone.into()))),
        _ => at,
    };
    let far: Vec<i64> = days.iter().map(|d| d * 86_400_000_000).chain(near).collect();
    let until = typed(whole(&[Int64], &mut dice, &far, 7), &time(TimeUnit::Microsecond));
    let until = typed(until, &dice.of(&kinds[..3]));
    let wild = [0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE, 1e18, -1e-300, 3.0, 0.1, 2.5];
    let wild = float(&[Float64], &mut dice, &wild, 9);
    let edge = 1i64 << 53;
    let big = whole(&[Int64], &mut dice, &[i64::MAX, i64::MIN, edge + 1, edge, -edge - 1, 0, 3, 7, i64::MAX - 1], 8);
    let big = match dice.below(3) {
        0 => {
            let shifted = big.as_primitive::<Int64Type>().iter();
            Arc::new(shifted.map(|v| v.map(|v| (v as u64) ^ (1 << 63))).collect::<arrow::array::UInt64Array>()) as ArrayRef
        }
        _ => big,
    };
    let digits =
        ["12345678901234567890.1234567890", "0.1", "-0.1", "0", "3", "9007199254740993", "-99999999999999999999999999.5"];
    let exact = typed(text(&[Utf8], &mut dice, &digits, 8), &dice.of(&[Decimal128(38, 10), Decimal128(37, 10)]));
    let raw = text(&[Utf8], &mut dice, &["north", "", "unique", "9", "Ünïcode"], 6);
    let raw = typed(raw, &dice.of(&[Binary, LargeBinary, BinaryView]));
    let mark = typed(typed(text(&[Utf8], &mut dice, &["ab", "n0", "9.", "\u{fc}"], 6), &Binary), &FixedSizeBinary(2));
    RecordBatch::try_from_iter_with_nullable([
        ("person", Arc::new(Int64Array::from(people)) as ArrayRef, true),
        ("spend", spend, true),
        ("visits", visits, true),
        ("price", price, true),
        ("city", city, true),
        ("grade", grade, true),
        ("flag", flag, true),
        ("day", day, true),
        ("at", at, true),
        ("until", until, true),
        ("wild", wild, true),
        ("big", big, true),
        ("exact", exact, true),
        ("raw", raw, true),
        ("mark", mark, true),
    ])
    .unwrap()
}

/// The same rows as every engine has them: one zero, NULL in place of NaN, texts in place of dictionaries and bytes, and what a zone's clocks show in place of its times.
pub(crate) fn plain(batch: &RecordBatch) -> RecordBatch {
    let column = |array: &ArrayRef| -> ArrayRef {
        match array.data_type() {
            DataType::Float64 => {
                let floats = array.as_primitive::<Float64Type>();
                let none = floats.iter().map(|v| Some(v.is_some_and(f64::is_nan))).collect();
                nullif(&floats.unary::<_, Float64Type>(|v| v + 0.0), &none).unwrap()
            }
            DataType::Float32 => {
                let floats = array.as_primitive::<Float32Type>();
                let none = floats.iter().map(|v| Some(v.is_some_and(f32::is_nan))).collect();
                nullif(&floats.unary::<_, Float32Type>(|v| v + 0.0), &none).unwrap()
            }
            DataType::Dictionary(_, value) => cast(array, value).unwrap(),
            kind if kind.is_binary() => cast(&cast(array, &DataType::Binary).unwrap(), &DataType::Utf8).unwrap(),
            DataType::Date64 => cast(array, &DataType::Date32).unwrap(),
            DataType::Timestamp(unit, Some(zone)) => {
                // Other zones are those of tests that have the plain engine read them.
                let Some((_, ahead)) = ZONES.iter().find(|(name, _)| *name == &**zone) else { return array.clone() };
                let second = match unit {
                    TimeUnit::Second => 1,
                    TimeUnit::Millisecond => 1000,
                    TimeUnit::Microsecond => 1_000_000,
                    TimeUnit::Nanosecond => 1_000_000_000,
                };
                let times = cast(array, &DataType::Int64).unwrap();
                let shown = times.as_primitive::<Int64Type>().unary::<_, Int64Type>(|v| v + ahead * second);
                cast(&shown, &time(*unit)).unwrap()
            }
            _ => array.clone(),
        }
    };
    let schema = batch.schema();
    let names = schema.fields().iter().map(|f| f.name().clone());
    let columns = names.zip(batch.columns().iter().map(column)).map(|(name, array)| (name, array, true));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// `batch` as a Parquet file.
pub(crate) fn written(batch: &RecordBatch) -> File {
    let mut file = tempfile::tempfile().unwrap();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    file
}
