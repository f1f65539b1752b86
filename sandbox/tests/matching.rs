//! Patterns on texts of every type that files have them in.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, StringArray},
    compute::cast,
    datatypes::DataType,
};

use crate::values::{counts, world};

/// LIKE, ILIKE and regular expressions say the same of a text, whatever it lies in.
#[tokio::test]
async fn patterns_match_texts_of_every_type() {
    let texts = StringArray::from(vec![Some("North Wing"), Some("northern"), Some("south"), None, Some(""), Some("a_b%")]);
    let dictionary = |key, value| DataType::Dictionary(Box::new(key), Box::new(value));
    for kind in [
        DataType::Utf8,
        DataType::LargeUtf8,
        DataType::Utf8View,
        dictionary(DataType::Int32, DataType::Utf8),
        dictionary(DataType::UInt8, DataType::LargeUtf8),
    ] {
        let Ok(column) = cast(&texts, &kind) else { panic!("{kind}") };
        let world = world(vec![("s", column as ArrayRef), ("t", Arc::new(texts.clone()) as ArrayRef)]);
        let conditions = [
            ("s LIKE 'north%'", 1.0),
            ("s NOT LIKE 'north%'", 4.0),
            ("s ILIKE 'NORTH%'", 2.0),
            ("s NOT ILIKE '%th%'", 2.0),
            (r"s LIKE 'a\_b\%'", 1.0),
            ("s LIKE '_outh'", 1.0),
            ("s ~ '^[nN]orth'", 2.0),
            ("s ~* 'WING$'", 1.0),
            ("s !~ 'th'", 2.0),
            ("CAST(s AS VARCHAR) LIKE '%th%'", 3.0),
            ("lower(s) LIKE 'north%'", 2.0),
            ("s = t", 5.0),
            ("s LIKE ''", 1.0),
        ];
        counts(&world, &conditions).await;
    }
}
