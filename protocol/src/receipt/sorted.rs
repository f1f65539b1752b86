//! Canonical JSON (RFC 8785) of what has its keys in their order already: the library, which sorts those of every object, takes many times as long.

use std::io::{Error, ErrorKind, Result, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use crate::cost::EXACT;

/// Numbers as ECMAScript writes them (section 3.2.2.3).
struct Numbers;

impl Formatter for Numbers {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> Result<()> {
        writer.write_all(ryu_js::Buffer::new().format(value).as_bytes())
    }

    /// What is not there is left out. JSON has neither NaN nor infinity, and what stood for them would not be read again.
    fn write_null<W: ?Sized + Write>(&mut self, _: &mut W) -> Result<()> {
        Err(Error::new(ErrorKind::InvalidData, "a number that JSON cannot hold"))
    }

    fn write_u64<W: ?Sized + Write>(&mut self, writer: &mut W, value: u64) -> Result<()> {
        if value > EXACT { self.write_f64(writer, value as f64) } else { write!(writer, "{value}") }
    }

    fn write_i64<W: ?Sized + Write>(&mut self, writer: &mut W, value: i64) -> Result<()> {
        if value.unsigned_abs() > EXACT { self.write_f64(writer, value as f64) } else { write!(writer, "{value}") }
    }
}

/// JSON of a value whose objects all have their keys in their order.
pub(super) fn to_string(value: &impl Serialize) -> serde_json::Result<String> {
    let mut out = Vec::with_capacity(4096);
    value.serialize(&mut Serializer::with_formatter(&mut out, Numbers))?;
    // Only whole texts and ASCII were written.
    String::from_utf8(out).map_err(serde::ser::Error::custom)
}
