//! Columns of every type that a table may have, with the ends of each.

use std::sync::Arc;

use arrow::{
    array::{
        Array as _, ArrayRef, BooleanArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array, StringArray, UInt64Array,
    },
    compute::cast,
    datatypes::{DataType, IntervalUnit, TimeUnit},
};

/// Seconds since 1970: ends of integers, of what the engine's calendar has, of years 0, 1 and 9999, and about leap days and seconds.
const SECONDS: [i64; 24] = [
    i64::MIN,
    i64::MIN / 1000,
    i64::MIN / 1_000_000,
    -8_334_632_851_200,
    -8_334_601_228_800,
    -377_705_116_800,
    -62_167_219_200,
    -62_135_596_800,
    -86_401,
    -86_400,
    -1,
    0,
    1,
    59,
    86_399,
    951_782_400,
    1_483_228_799,
    253_402_300_799,
    253_402_300_800,
    8_210_266_876_799,
    8_210_298_412_800,
    i64::MAX / 1_000_000,
    i64::MAX / 1000,
    i64::MAX,
];

/// Texts that are read as other types, or nearly so.
const TEXTS: [&str; 40] = [
    "",
    " ",
    "0",
    "-0.0",
    "1",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "1e308",
    "1e309",
    "-1e-400",
    "NaN",
    "inf",
    "-infinity",
    "0.1",
    "99999999999999999999999999999999999999.9",
    "1e2147483647",
    "1e-2147483648",
    "true",
    "nope",
    "2016-12-31 23:59:60",
    "2016-12-31T23:59:60.999999999Z",
    "0000-01-01",
    "0001-01-01",
    "-0001-12-31",
    "9999-12-31",
    "9999-12-31 23:59:59.999999999",
    "10000-01-01",
    "+262142-12-31",
    "262143-12-31T23:59:59",
    "2024-02-30",
    "2024-03-31T02:30:00 Europe/Berlin",
    "2024-01-01T00:00:00+23:59",
    "23:59:60",
    "24:00:00",
    "1 month 2 days 3 hours",
    "9999999999 years",
    "-178000000 years 9223372036 seconds",
    "\u{1f980}\u{1e9e}İ",
    "100 %\\_",
];

/// Columns of every type that a table may have, each with the ends of its type, NULL and what lies between; and which kind of value each has.
pub(super) fn extremes() -> Vec<(String, char, ArrayRef)> {
    use DataType::{
        Binary, BinaryView, Boolean, Date32, Date64, Decimal32, Decimal64, Decimal128, Decimal256, Duration, FixedSizeBinary,
        Float16, Float32, Float64, Int8, Int16, Int32, Int64, Interval, LargeBinary, LargeUtf8, Time32, Time64, Timestamp, UInt8,
        UInt16, UInt32, UInt64, Utf8, Utf8View,
    };
    let rows = 48;
    let cycle = |i: usize, n: usize| if i % (n + 1) == n { None } else { Some(i % (n + 1)) };
    let whole = |values: &[i64]| Int64Array::from_iter((0..rows).map(|i| Some(values[cycle(i, values.len())?])));
    let unsigned: ArrayRef =
        Arc::new(UInt64Array::from_iter((0..rows).map(|i| Some([0, 1, 1 << 53, u64::MAX, u64::MAX - 1][cycle(i, 5)?]))));
    let wholes: ArrayRef =
        Arc::new(whole(&[i64::MIN, -1, 0, 1, 7, 255, 256, 32_768, 1 << 31, (1 << 53) + 1, i64::MAX - 1, i64::MAX]));
    let reals = [
        f64::NEG_INFINITY,
        f64::MIN,
        -1e19,
        -2.5,
        -1e-300,
        -0.0,
        0.0,
        5e-324,
        0.5,
        1.0,
        38.0,
        1e15,
        9.3e18,
        1e38,
        1e308,
        f64::INFINITY,
        f64::NAN,
    ];
    let reals: ArrayRef = Arc::new(Float64Array::from_iter((0..rows).map(|i| Some(reals[cycle(i, reals.len())?]))));
    let long =
        ["9".repeat(1024), "\u{1e9e}".repeat(1024), "1y ".repeat(341), format!("0.{}1", "0".repeat(1000)), "-".repeat(1024)];
    let texts: Vec<&str> = TEXTS.into_iter().chain(long.iter().map(String::as_str)).collect();
    let texts: ArrayRef = Arc::new(StringArray::from_iter((0..rows).map(|i| Some(texts[cycle(i, texts.len())?]))));
    let truths: ArrayRef = Arc::new(BooleanArray::from_iter((0..rows).map(|i| Some([true, false][cycle(i, 2)?]))));
    // Days and ticks, with those that are the ends of what a calendar has.
    let times = |per_second: i64| -> ArrayRef {
        let scaled = SECONDS.map(|s| s.saturating_mul(per_second));
        Arc::new(whole(&[SECONDS.as_slice(), &scaled].concat()))
    };
    let days: ArrayRef = Arc::new(Int32Array::from_iter((0..rows).map(|i| {
        let all = [
            i32::MIN,
            -96_465_293,
            -96_465_658,
            -719_529,
            -719_162,
            -1,
            0,
            1,
            19_782,
            2_932_896,
            2_932_897,
            95_026_236,
            95_026_601,
            i32::MAX,
        ];
        Some(all[cycle(i, all.len())?])
    })));
    let mut all: Vec<(char, ArrayRef)> = vec![];
    let as_type = |array: &ArrayRef, kind: DataType| cast(array, &kind).unwrap();
    all.extend([Int8, Int16, Int32, Int64].map(|kind| ('n', as_type(&wholes, kind))));
    all.extend([UInt8, UInt16, UInt32, UInt64].map(|kind| ('n', as_type(&unsigned, kind))));
    all.extend([Float16, Float32, Float64].map(|kind| ('n', as_type(&reals, kind))));
    let decimals =
        [Decimal32(9, 2), Decimal64(18, 4), Decimal128(5, 2), Decimal128(38, 0), Decimal128(38, 10), Decimal128(38, 38)];
    all.extend(decimals.map(|kind| ('n', as_type(&wholes, kind))));
    all.extend([Decimal128(38, 10), Decimal256(76, 10), Decimal256(76, 70)].map(|kind| ('n', as_type(&reals, kind))));
    all.extend([Utf8, LargeUtf8, Utf8View].map(|kind| ('s', as_type(&texts, kind))));
    all.extend([Binary, LargeBinary, BinaryView].map(|kind| ('b', as_type(&texts, kind))));
    let fixed: ArrayRef = Arc::new(
        FixedSizeBinaryArray::try_from_sparse_iter_with_size((0..rows).map(|i| Some([[0u8; 16], [255u8; 16]][cycle(i, 2)?])), 16)
            .unwrap(),
    );
    assert_eq!(*fixed.data_type(), FixedSizeBinary(16));
    all.push(('b', fixed));
    all.push(('f', as_type(&truths, Boolean)));
    all.push(('t', as_type(&days, Date32)));
    all.push(('t', as_type(&times(1000), Date64)));
    let units = [
        (TimeUnit::Second, 1),
        (TimeUnit::Millisecond, 1000),
        (TimeUnit::Microsecond, 1_000_000),
        (TimeUnit::Nanosecond, 1_000_000_000),
    ];
    for (unit, ticks) in units {
        for zone in [None, Some("+00:00"), Some("-12:34"), Some("Europe/Berlin"), Some("America/St_Johns")] {
            all.push(('t', as_type(&times(ticks), Timestamp(unit, zone.map(Into::into)))));
        }
        all.push(('d', as_type(&times(ticks), Duration(unit))));
    }
    // What Parquet may have of them is any number.
    for (kind, whole) in [(Time32(TimeUnit::Second), Int32), (Time32(TimeUnit::Millisecond), Int32)] {
        all.push(('c', as_type(&as_type(&wholes, whole), kind)));
    }
    for unit in [TimeUnit::Microsecond, TimeUnit::Nanosecond] {
        all.push(('c', as_type(&wholes, Time64(unit))));
    }
    all.push(('d', as_type(&as_type(&texts, Utf8), Interval(IntervalUnit::MonthDayNano))));
    all.push(('d', as_type(&as_type(&wholes, Int32), Interval(IntervalUnit::YearMonth))));
    let (shorter, named) = (all.iter().map(|(_, array)| array.len()).all(|n| n == rows), all.into_iter().enumerate());
    assert!(shorter);
    named.map(|(i, (kind, array))| (format!("{kind}{i}"), kind, array)).collect()
}
