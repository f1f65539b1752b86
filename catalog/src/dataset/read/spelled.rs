//! Decoding of dictionary and run-length columns to plain values, and names of types.

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::cast,
    datatypes::{DataType, TimeUnit},
    error::ArrowError,
};

/// Returns the plain type of a column: for dictionaries and runs, the type of their values.
pub(in crate::dataset) fn plain(kind: &DataType) -> &DataType {
    match kind {
        DataType::Dictionary(_, values) => plain(values),
        DataType::RunEndEncoded(_, values) => plain(values.data_type()),
        kind => kind,
    }
}

/// Returns the name of a type in SQL, for people.
pub(in crate::dataset) fn in_sql(kind: &DataType) -> String {
    match plain(kind) {
        DataType::Null => "NULL".to_owned(),
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INT".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::UInt8 => "TINYINT UNSIGNED".to_owned(),
        DataType::UInt16 => "SMALLINT UNSIGNED".to_owned(),
        DataType::UInt32 => "INT UNSIGNED".to_owned(),
        DataType::UInt64 => "BIGINT UNSIGNED".to_owned(),
        DataType::Float16 | DataType::Float32 => "REAL".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Decimal32(digits, scale)
        | DataType::Decimal64(digits, scale)
        | DataType::Decimal128(digits, scale)
        | DataType::Decimal256(digits, scale) => format!("DECIMAL({digits}, {scale})"),
        DataType::Date32 | DataType::Date64 => "DATE".to_owned(),
        DataType::Timestamp(unit, zone) => {
            let fine = if *unit == TimeUnit::Nanosecond { "(9)" } else { "" };
            let zone = zone.as_ref().map(|zone| format!(" of the time zone {zone}")).unwrap_or_default();
            format!("TIMESTAMP{fine}{zone}")
        }
        DataType::Time32(_) | DataType::Time64(_) => "TIME".to_owned(),
        DataType::Duration(_) | DataType::Interval(_) => "INTERVAL".to_owned(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "TEXT".to_owned(),
        DataType::Struct(_) => "a structure".to_owned(),
        DataType::Map(..) => "a map".to_owned(),
        DataType::Union(..) => "a union".to_owned(),
        kind if kind.is_nested() => "a list".to_owned(),
        _ => "bytes".to_owned(),
    }
}

/// Decodes a column to plain values.
pub(in crate::dataset) fn spelled(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let kind = plain(column.data_type());
    if kind == column.data_type() {
        return Ok(column.clone());
    }
    match column.data_type() {
        DataType::Dictionary(..) => {
            let dictionary = column.as_any_dictionary();
            let keys = cast(dictionary.keys(), &DataType::UInt64)?;
            spelled(&arrow::compute::take(dictionary.values(), &keys, None)?)
        }
        _ => cast(column, kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_the_names_that_sql_has() {
        for (kind, name) in [
            (DataType::Int64, "BIGINT"),
            (DataType::UInt8, "TINYINT UNSIGNED"),
            (DataType::LargeUtf8, "TEXT"),
            (DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8View)), "TEXT"),
            (DataType::Decimal128(10, 2), "DECIMAL(10, 2)"),
            (DataType::FixedSizeBinary(16), "bytes"),
            (DataType::Timestamp(TimeUnit::Microsecond, None), "TIMESTAMP"),
            (DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())), "TIMESTAMP(9) of the time zone UTC"),
            (DataType::Struct(arrow::datatypes::Fields::empty()), "a structure"),
        ] {
            assert_eq!(in_sql(&kind), name, "{kind}");
        }
    }
}
