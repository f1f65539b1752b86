//! Values of every type that can be a key, at random and at the ends: each has one form, no two have the same, and what is shown is declared again exactly.

use std::collections::HashMap;

use arrow::{
    array::{
        ArrayRef, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array,
        TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt8Array,
        UInt16Array, UInt32Array, UInt64Array,
    },
    datatypes::DataType,
};

use super::*;

/// Bits at random, the same each time (splitmix64, Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Small and large ones alike, and those about the ends of types and of what a double holds.
    fn integer(&mut self) -> i64 {
        let ends = [0, 1 << 7, 1 << 15, 1 << 31, 1 << 53, (1 << 53) + 1, i64::MAX, i64::MIN, 1 << 24];
        let near = self.bits() % 5;
        match self.bits() % 4 {
            0 => ends[(self.bits() % 9) as usize].wrapping_add(near as i64 - 2),
            1 => -(ends[(self.bits() % 9) as usize].wrapping_add(near as i64 - 2) >> 1),
            _ => (self.bits() as i64) >> (self.bits() % 64),
        }
    }

    fn float(&mut self) -> f64 {
        let strange = [0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 5e-324, f64::MAX, 0.1, 1e16, 1e21];
        match self.bits() % 3 {
            0 => strange[(self.bits() % 11) as usize],
            1 => self.integer() as f64,
            _ => f64::from_bits(self.bits()),
        }
    }

    fn text(&mut self) -> String {
        let letters = ['a', 'é', '\0', '"', '\\', '\u{1F980}', '7', '.', '-', 'N', '\n', '\u{202E}'];
        (0..self.bits() % 12).map(|_| letters[(self.bits() % 12) as usize]).collect()
    }
}

const ROWS: usize = 400;

/// An array of each type, each with a NULL.
fn arrays(random: &mut Random) -> Vec<ArrayRef> {
    macro_rules! numbers {
        ($($array:ty),*) => {
            vec![$(Arc::new((0..ROWS).map(|i| (i > 0).then(|| random.integer() as _)).collect::<$array>()) as ArrayRef),*]
        };
    }
    let mut arrays = numbers!(
        Int8Array,
        Int16Array,
        Int32Array,
        Int64Array,
        UInt8Array,
        UInt16Array,
        UInt32Array,
        UInt64Array,
        Date32Array,
        TimestampSecondArray,
        TimestampMillisecondArray,
        TimestampMicrosecondArray,
        TimestampNanosecondArray
    );
    // Most dates are of our time.
    let day = |random: &mut Random| (random.bits() % 40_000) as i64;
    arrays.push(Arc::new((0..ROWS).map(|_| Some(day(random) as i32)).collect::<Date32Array>()));
    arrays.push(Arc::new((0..ROWS).map(|_| Some(day(random) * 86_400)).collect::<TimestampSecondArray>()));
    for zone in ["UTC", "+02:00", "-05:30"] {
        let at = |random: &mut Random| Some(day(random) * 86_400_000_000 + (random.bits() % 3_000_000) as i64);
        arrays.push(Arc::new((0..ROWS).map(|_| at(random)).collect::<TimestampMicrosecondArray>().with_timezone(zone)));
    }
    for (precision, scale) in [(5, 2), (38, 0), (38, 38), (10, 10), (18, 3)] {
        let most = 10i128.pow(u32::from(precision)) - 1;
        let one = |random: &mut Random| ((i128::from(random.integer()) << 64) ^ i128::from(random.integer())) % (most + 1);
        let small = |random: &mut Random| i128::from(random.integer()) % (most + 1);
        let values = (0..ROWS).map(|i| Some(if i % 2 == 0 { one(random) } else { small(random) }));
        arrays.push(Arc::new(values.collect::<Decimal128Array>().with_precision_and_scale(precision, scale).unwrap()));
    }
    arrays.push(Arc::new((0..ROWS).map(|i| (i > 0).then(|| random.float())).collect::<Float64Array>()));
    let narrow = |random: &mut Random| {
        if random.bits().is_multiple_of(2) { random.float() as f32 } else { f32::from_bits(random.bits() as u32) }
    };
    arrays.push(Arc::new((0..ROWS).map(|i| (i > 0).then(|| narrow(random))).collect::<Float32Array>()));
    arrays.push(Arc::new((0..ROWS).map(|i| (i > 0).then(|| random.bits().is_multiple_of(2))).collect::<BooleanArray>()));
    let texts: ArrayRef = Arc::new((0..ROWS).map(|i| (i > 0).then(|| random.text())).collect::<StringArray>());
    arrays.extend([DataType::LargeUtf8, DataType::Utf8View].map(|kind| cast(&texts, &kind).unwrap()));
    arrays.push(texts);
    arrays
}

#[test]
fn every_value_has_one_form_and_comes_back_from_it() {
    for seed in 0..5 {
        for array in arrays(&mut Random(seed)) {
            assert!(may_be_key(array.data_type()), "{}", array.data_type());
            let array = canonical(&array).unwrap();
            let kind = array.data_type().clone();
            let mut seen = HashMap::<String, ArrayRef>::new();
            for row in 0..array.len() {
                let one = array.slice(row, 1);
                let key = value(&array, row).unwrap();
                // As it leaves, and as it comes in a job.
                let json = serde_json_canonicalizer::to_string(&key).unwrap();
                let read: Key = serde_json::from_str(&json).unwrap();
                for key in [&key, &read] {
                    let again = exact(key, &kind).unwrap_or_else(|| panic!("{key} of {kind} is refused"));
                    assert_eq!(again.to_data(), one.to_data(), "{key} of {kind}");
                    assert_eq!(value(&again, 0).unwrap(), self::value(&one, 0).unwrap());
                }
                if let Some(other) = seen.insert(json.clone(), one.clone()) {
                    assert_eq!(other.to_data(), one.to_data(), "two values of {kind} are shown as {json}");
                }
            }
            let all: Vec<Key> = (0..array.len()).map(|row| value(&array, row).unwrap()).collect();
            assert_eq!(typed(all.iter(), array.data_type()).unwrap().to_data(), array.to_data());
        }
    }
}

#[test]
fn what_a_type_does_not_have_is_no_key_of_it() {
    let text = |s: &str| Key::Text(s.into());
    let second = DataType::Timestamp(TimeUnit::Second, None);
    let there: [(Key, DataType, Key); 13] = [
        (Key::Float(0.1), DataType::Float32, Key::Float(0.1)),
        (Key::Float(f64::from(0.1f32)), DataType::Float32, Key::Float(0.1)),
        (Key::Float(-0.0), DataType::Float64, Key::Float(0.0)),
        (Key::Float(5.0), DataType::Int8, Key::Int(5)),
        (Key::Int(5), DataType::Float32, Key::Float(5.0)),
        (text("9007199254740993"), DataType::Int64, text("9007199254740993")),
        (text("18446744073709551615"), DataType::UInt64, text("18446744073709551615")),
        (text("7"), DataType::Int64, Key::Int(7)),
        (text("2024-02-29"), DataType::Date32, text("2024-02-29")),
        (text("2024-02-29 12:00:00"), second.clone(), text("2024-02-29T12:00:00")),
        (text("1.5"), DataType::Decimal128(5, 2), text("1.50")),
        (Key::Float(1.5), DataType::Decimal128(5, 2), text("1.50")),
        (Key::Int(-3), DataType::Decimal128(5, 2), text("-3.00")),
    ];
    for (key, kind, shown) in there {
        let array = exact(&key, &kind).unwrap_or_else(|| panic!("{key} of {kind}"));
        assert_eq!(value(&array, 0).unwrap(), shown, "{key} of {kind}");
    }
    for (key, kind) in [
        (Key::Int(300), DataType::Int8),
        (Key::Int(-1), DataType::UInt64),
        (Key::Float(0.1), DataType::Int32),
        (Key::Float(1e16), DataType::Int64),
        (text("18446744073709551615"), DataType::Int64),
        (text("007"), DataType::Int64),
        (text("+7"), DataType::Int64),
        (Key::Float(0.123_456_789), DataType::Float32),
        (Key::Int(16_777_217), DataType::Float32),
        (Key::Float(1e39), DataType::Float32),
        (text("nan"), DataType::Float64),
        (text("NaN"), DataType::Float32),
        (text("1.5"), DataType::Float64),
        (text("2023-02-29"), DataType::Date32),
        (text("2024-2-29"), DataType::Date32),
        (text("2024-02-29T12:00:00"), DataType::Date32),
        (text("2024-02-29T12:00:00.5"), second.clone()),
        (Key::Int(0), second.clone()),
        (text("1.555"), DataType::Decimal128(5, 2)),
        (text("1000"), DataType::Decimal128(5, 2)),
        (text("1e2"), DataType::Decimal128(5, 2)),
        (Key::Float(0.1 + 0.2), DataType::Decimal128(5, 2)),
        (Key::Bool(true), DataType::Int8),
        (Key::Int(1), DataType::Boolean),
        (Key::Int(1), DataType::Utf8),
        (text(&"x".repeat(limits::KEY_CHARS + 1)), DataType::Utf8),
    ] {
        assert!(exact(&key, &kind).is_none(), "{key} of {kind}");
    }
}
