//! When anything of a job may be seen: public times alone, whatever the rows and however often somebody asks.
//!
//! ```text
//! start ───── slot ───── end ── SETTLE ── result and receipt become durable, the log shows them ── GRACE ── first tick: replies
//! ```
//! The receipt log is open to all: were an outcome appended as soon as a job is done, its place would tell how long the rows took. And were
//! a repeated request answered at once, a buyer could ask until it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidegate_protocol::{PeerId, policy::Policy, receipt::JobFacts};

/// Time between the end of a slot and the log's entry: a worker that is killed at the end and one that was done long before look the same.
const SETTLE: Duration = Duration::from_millis(100);
/// Time between the end of a slot and the earliest tick, for noise, fsync and proof: they must not push a reply to a later tick.
const GRACE: Duration = Duration::from_millis(400);

/// Waits until a time; at once where it is past.
pub(super) async fn until(time: SystemTime) {
    if let Ok(wait) = time.duration_since(SystemTime::now()) {
        tokio::time::sleep(wait).await;
    }
}

/// When the outcome of a job with this slot may become durable and public.
pub(super) fn settled(slot_end: SystemTime) -> SystemTime {
    slot_end + SETTLE
}

/// When a reply about a finished job may leave to `buyer`: at a tick, no earlier than its slot allows. `None` where the policy turns ticks off.
pub(super) fn reply_time(facts: &JobFacts, policy: &Policy, buyer: &PeerId) -> Option<SystemTime> {
    if policy.skips_tick(buyer) {
        return None;
    }
    let slot_end = facts.slot_end.parse::<jiff::Timestamp>().map(SystemTime::from).unwrap_or(UNIX_EPOCH);
    next_tick(slot_end + GRACE, SystemTime::now(), policy.tick_ms)
}

/// The first tick at or after `end`, or after `now` where the node is late: a reply never leaves between ticks.
fn next_tick(end: SystemTime, now: SystemTime, tick_ms: u64) -> Option<SystemTime> {
    let due = end.max(now).duration_since(UNIX_EPOCH).ok()?.as_millis() as u64;
    Some(UNIX_EPOCH + Duration::from_millis(due.div_ceil(tick_ms).checked_mul(tick_ms)?))
}

pub(super) fn unix(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64
}

pub(super) fn rfc3339(time: SystemTime) -> String {
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
