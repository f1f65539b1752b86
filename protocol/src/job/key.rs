//! Values of group keys, in a form with an exact JSON representation.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A value of a group key.
///
/// In JSON (RFC 8785) every number is a double: an integer beyond ±[`Key::EXACT`] would change, so it is text. So are values of
/// types that JSON does not have: dates, timestamps, decimals, NaN and infinities. A column of keys has one type, given by the
/// query, and different values of a type have different forms.
#[derive(Debug, Clone, PartialEq)]
pub enum Key {
    /// NULL.
    Null,
    /// Boolean.
    Bool(bool),
    /// Integer, of at most ±[`Key::EXACT`]: see [`Key::integer`].
    Int(i64),
    /// Floating point, finite.
    Float(f64),
    /// Text, or a value without a JSON number.
    Text(String),
}

impl Key {
    /// Bound of exact integers, 2⁵³ − 1: above, doubles are further apart than integers.
    pub const EXACT: i64 = (1 << 53) - 1;

    /// Builds the unique key of an integer of any type.
    pub fn integer(value: impl Into<i128>) -> Self {
        let value = value.into();
        match i64::try_from(value) {
            Ok(small) if small.unsigned_abs() <= Self::EXACT as u64 => Self::Int(small),
            _ => Self::Text(value.to_string()),
        }
    }
}

impl fmt::Display for Key {
    /// Writes the key as in JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => match Self::integer(*value) {
                Self::Text(text) => serializer.serialize_str(&text),
                _ => serializer.serialize_i64(*value),
            },
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl de::Visitor<'_> for Visitor {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key: null, a boolean, a number or a text")
    }

    fn visit_unit<E>(self) -> Result<Key, E> {
        Ok(Key::Null)
    }

    fn visit_none<E>(self) -> Result<Key, E> {
        Ok(Key::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Key, E> {
        Ok(Key::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Key, E> {
        // JSON writes large doubles like integers, and integers that large as text.
        Ok(if value.unsigned_abs() <= Key::EXACT as u64 { Key::Int(value) } else { Key::Float(value as f64) })
    }

    fn visit_u64<E>(self, value: u64) -> Result<Key, E> {
        Ok(i64::try_from(value).ok().filter(|v| *v <= Key::EXACT).map_or(Key::Float(value as f64), Key::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Key, E> {
        Ok(Key::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Key, E> {
        Ok(Key::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Key, E> {
        Ok(Key::Text(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reader of canonical JSON gets of two integers is never one.
    #[test]
    fn integers_are_told_apart_in_canonical_json() {
        let json = |key: &Key| serde_json_canonicalizer::to_string(key).unwrap();
        let edge = i128::from(Key::EXACT);
        let mut seen = std::collections::BTreeSet::new();
        for sign in [1, -1] {
            for value in [1, 5, edge - 1, edge, edge + 1, edge + 2, edge + 3, i128::from(i64::MAX), i128::from(u64::MAX)] {
                let key = Key::integer(sign * value);
                let text = json(&key);
                assert!(seen.insert(text.clone()), "{text}");
                assert_eq!(serde_json::from_str::<Key>(&text).unwrap(), key);
                assert_eq!(text.trim_matches('"'), (sign * value).to_string());
            }
        }
        // One that was made by hand is no other.
        assert_eq!(json(&Key::Int(i64::MAX)), "\"9223372036854775807\"");
    }

    #[test]
    fn large_doubles_stay_doubles() {
        for value in [1e16, -1e18, 2f64.powi(63), 1e19, 1e20, 1e21, 1e300, 0.1, 5e-324] {
            let text = serde_json_canonicalizer::to_string(&Key::Float(value)).unwrap();
            assert_eq!(serde_json::from_str::<Key>(&text).unwrap(), Key::Float(value), "{text}");
        }
    }
}
