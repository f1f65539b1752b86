//! SQL names of types.

use arrow::datatypes::DataType;

/// Engine's type names with SQL's.
const NAMES: [(&str, &str); 29] = [
    ("Binary", "bytes"),
    ("BinaryView", "bytes"),
    ("Boolean", "BOOLEAN"),
    ("Date", "DATE"),
    ("Date32", "DATE"),
    ("Date64", "DATE"),
    ("Float32", "REAL"),
    ("Float64", "DOUBLE"),
    ("Int16", "SMALLINT"),
    ("Int32", "INT"),
    ("Int64", "BIGINT"),
    ("Int8", "TINYINT"),
    ("Interval", "INTERVAL"),
    ("LargeBinary", "bytes"),
    ("LargeUtf8", "text"),
    ("Null", "NULL"),
    ("Numeric", "number"),
    ("String", "text"),
    ("Time", "TIME"),
    ("Time32", "TIME"),
    ("Time64", "TIME"),
    ("Timestamp", "TIMESTAMP"),
    ("UInt16", "SMALLINT UNSIGNED"),
    ("UInt32", "INT UNSIGNED"),
    ("UInt64", "BIGINT UNSIGNED"),
    ("UInt8", "TINYINT UNSIGNED"),
    ("Utf8", "text"),
    ("Utf8View", "text"),
    ("Decimal128", "DECIMAL"),
];

/// Returns a type's name as known to buyers.
pub(super) fn kind(kind: &DataType) -> String {
    match kind {
        DataType::Dictionary(_, value) => self::kind(value),
        DataType::Decimal32(digits, scale)
        | DataType::Decimal64(digits, scale)
        | DataType::Decimal128(digits, scale)
        | DataType::Decimal256(digits, scale) => format!("DECIMAL({digits}, {scale})"),
        DataType::Duration(_) => "INTERVAL".to_owned(),
        DataType::FixedSizeBinary(_) => "bytes".to_owned(),
        DataType::Time32(_) | DataType::Time64(_) => "TIME".to_owned(),
        kind if kind.is_integer() => "whole number".to_owned(),
        kind if kind.is_nested() => "list or structure".to_owned(),
        kind => in_words(&kind.to_string()),
    }
}

/// Returns a column type's name as known to buyers, from its name in a manifest.
pub fn of_manifest(arrow: &str) -> String {
    match arrow.parse::<DataType>() {
        Ok(DataType::Dictionary(_, value)) => of_manifest(&value.to_string()),
        Ok(of) if of.is_integer() => in_words(arrow),
        // The zone decides which day a time is of, and what a text beside it may say.
        Ok(DataType::Timestamp(_, Some(zone))) => format!("TIMESTAMP WITH TIME ZONE, '{zone}'"),
        Ok(of) => kind(&of),
        // An unknown name is shown unchanged.
        Err(_) => arrow.to_owned(),
    }
}

/// Replaces the engine's type names in `text` by SQL's.
pub(super) fn in_words(text: &str) -> String {
    let (mut said, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, after) = rest.split_at(if end == 0 { first.len_utf8() } else { end });
        match NAMES.iter().find(|(engine, _)| *engine == word) {
            None => (said, rest) = (said + word, after),
            Some((_, own)) => {
                // Time unit and zone are left out: nobody asked for them.
                let inner =
                    after.strip_prefix('(').filter(|_| matches!(word, "Interval" | "Time" | "Time32" | "Time64" | "Timestamp"));
                rest = inner.and_then(|inner| inner.split_once(')')).map_or(after, |(_, after)| after);
                said += own;
            }
        }
    }
    said
}

/// Suggests a replacement for a numeric aggregate over dates or times, such as `percentile` over a number of days.
pub(super) fn of_time(time: &str, percentile: &str) -> String {
    format!(
        "Ask for days since 1970, as in APPROX_PERCENTILE_CONT(clamp(date_part('epoch', {time}) / 86400, 18262, 21915), {percentile}) \
         for the years 2020 to 2029, or count by GROUP BY date_trunc('month', {time})"
    )
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};

    use super::{in_words, kind, of_manifest};

    #[test]
    fn types_have_the_names_that_sql_has() {
        for (is, said) in [
            (DataType::LargeUtf8, "text"),
            (DataType::Utf8View, "text"),
            (DataType::UInt16, "whole number"),
            (DataType::Float64, "DOUBLE"),
            (DataType::Date64, "DATE"),
            (DataType::Boolean, "BOOLEAN"),
            (DataType::Timestamp(TimeUnit::Second, Some("Europe/Berlin".into())), "TIMESTAMP"),
            (DataType::Interval(IntervalUnit::MonthDayNano), "INTERVAL"),
            (DataType::Decimal128(10, 2), "DECIMAL(10, 2)"),
            (DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)), "text"),
        ] {
            assert_eq!(kind(&is), said, "{is}");
        }
        for (arrow, said) in [
            ("Int64", "BIGINT"),
            ("UInt8", "TINYINT UNSIGNED"),
            ("Dictionary(Int32, LargeUtf8)", "text"),
            ("Timestamp(µs)", "TIMESTAMP"),
            ("Timestamp(ns, \"Europe/Berlin\")", "TIMESTAMP WITH TIME ZONE, 'Europe/Berlin'"),
            ("Decimal128(38, 0)", "DECIMAL(38, 0)"),
            ("FixedSizeBinary(16)", "bytes"),
            ("no type", "no type"),
        ] {
            assert_eq!(of_manifest(arrow), said);
        }
        assert_eq!(
            in_words("Boolean = Int64, of Utf8s and Timestamp(ns, \"UTC\") é"),
            "BOOLEAN = BIGINT, of Utf8s and TIMESTAMP é"
        );
    }
}
