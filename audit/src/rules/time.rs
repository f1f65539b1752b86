//! Times as entries state them.

use std::time::SystemTime;

use super::report::Broken;

/// Reads an RFC 3339 time.
///
/// # Errors
/// The rule `time`, for what is none, or is before 1970.
pub(super) fn time(text: &str) -> Result<SystemTime, Broken> {
    let time = text.parse::<jiff::Timestamp>().map(SystemTime::from);
    // An auditor's memory has no earlier ones.
    time.ok()
        .filter(|time| *time >= SystemTime::UNIX_EPOCH)
        .ok_or_else(|| ("time", format!("{text:?} is no RFC 3339 time from 1970 on")))
}
