//! Public times at which anything of a job may be seen, whatever the rows and however often a peer asks.
//!
//! ```text
//! start ───── slot ───── end ── SETTLE ── result and receipt become durable, the log shows them ── GRACE ── release: replies
//! ```
//! The receipt log is public. If an outcome were appended as soon as its job is done, its position would reveal how long the rows
//! took; if a repeated request were answered at once, a buyer could ask until the job is done. Release times are the multiples of
//! the policy's release interval, `tick_ms`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidegate_protocol::{PeerId, policy::Policy, receipt::JobFacts};

/// Time between a slot's deadline and the log entry.
///
/// A worker killed at the deadline and a worker that finished long before look the same.
const SETTLE: Duration = Duration::from_millis(100);
/// Time between a slot's deadline and the earliest release time.
///
/// It covers noise, fsync and proof, which must not push a reply to a later release time.
const GRACE: Duration = Duration::from_millis(400);

/// Waits until `time`; returns at once if past.
pub(in crate::owner) async fn until(time: SystemTime) {
    if let Ok(wait) = time.duration_since(SystemTime::now()) {
        tokio::time::sleep(wait).await;
    }
}

/// Returns when the outcome of a job with this deadline may become durable and public.
pub(in crate::owner) fn settled(slot_end: SystemTime) -> SystemTime {
    slot_end + SETTLE
}

/// Returns when a reply about a finished job may leave to `buyer`.
///
/// This is a release time, no earlier than the job's deadline allows. `None` if the policy turns release intervals off for the
/// buyer.
pub(in crate::owner) fn reply_time(facts: &JobFacts, policy: &Policy, buyer: &PeerId) -> Option<SystemTime> {
    if policy.skips_tick(buyer) {
        return None;
    }
    let slot_end = facts.slot_end.parse::<jiff::Timestamp>().map(SystemTime::from).unwrap_or(UNIX_EPOCH);
    next_tick(slot_end + GRACE, SystemTime::now(), policy.tick_ms)
}

/// Returns the first release time at or after `end`, or after `now` if the node is late.
///
/// A reply never leaves between release times.
fn next_tick(end: SystemTime, now: SystemTime, tick_ms: u64) -> Option<SystemTime> {
    let due = end.max(now).duration_since(UNIX_EPOCH).ok()?.as_millis() as u64;
    Some(UNIX_EPOCH + Duration::from_millis(due.div_ceil(tick_ms).checked_mul(tick_ms)?))
}

pub(in crate::owner) fn unix(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64
}

pub(in crate::owner) fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map(|t| t.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_leave_at_ticks_alone() {
        let at = |ms: u64| UNIX_EPOCH + Duration::from_millis(ms);
        for (end, now, tick) in
            [(1400, 200, 2000), (1400, 1399, 2000), (2000, 1000, 2000), (1400, 2001, 3000), (1400, 9000, 9000)]
        {
            assert_eq!(next_tick(at(end), at(now), 1000), Some(at(tick)), "end {end}, now {now}");
        }
    }

    #[test]
    fn times_in_receipts_read_back() {
        let time = UNIX_EPOCH + Duration::from_millis(1_800_000_000_123);
        assert_eq!(rfc3339(time).parse::<jiff::Timestamp>().map(SystemTime::from).unwrap(), time);
    }
}
