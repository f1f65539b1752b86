//! Canonical JSON (RFC 8785) of values whose keys are in order already. The library sorts every object's keys and takes many
//! times as long.

use std::io::{Error, ErrorKind, Result, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use crate::cost::EXACT;

/// Formatter of numbers as ECMAScript writes them (section 3.2.2.3).
struct Numbers;

impl Formatter for Numbers {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> Result<()> {
        writer.write_all(ryu_js::Buffer::new().format(value).as_bytes())
    }

    /// Refuses `null`. Absent values are left out, and JSON has neither NaN nor infinity: a `null` for them could not be read
    /// back.
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

/// Writes a value as JSON. The keys of all its objects must be in order.
pub(super) fn to_string(value: &impl Serialize) -> serde_json::Result<String> {
    let mut out = Vec::with_capacity(4096);
    value.serialize(&mut Serializer::with_formatter(&mut out, Numbers))?;
    // Only whole texts and ASCII were written, so this is valid UTF-8.
    String::from_utf8(out).map_err(serde::ser::Error::custom)
}
