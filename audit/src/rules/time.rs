//! Times stated in entries.

use std::time::SystemTime;

use super::report::Broken;

/// Reads an RFC 3339 time.
///
/// # Errors
/// Returns the rule `time` for text that is not a time, or a time before 1970.
pub(super) fn time(text: &str) -> Result<SystemTime, Broken> {
    let time = text.parse::<jiff::Timestamp>().map(SystemTime::from);
    // An auditor's memory cannot represent earlier times.
    time.ok()
        .filter(|time| *time >= SystemTime::UNIX_EPOCH)
        .ok_or_else(|| ("time", format!("{text:?} is not an RFC 3339 time since 1970")))
}
