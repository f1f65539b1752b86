//! Crash points, compiled in for tests only.

/// Aborts the process, as a power cut would, if the environment's `TIDEGATE_FAULT` names this point.
#[cfg(feature = "faults")]
pub(crate) fn point(name: &str) {
    if named(name) {
        std::process::abort();
    }
}

/// Returns whether `TIDEGATE_FAULT` names this point.
#[cfg(feature = "faults")]
pub(crate) fn named(name: &str) -> bool {
    std::env::var("TIDEGATE_FAULT").is_ok_and(|wanted| wanted == name)
}

/// Returns the part of `TIDEGATE_FAULT` after `name:`.
#[cfg(feature = "faults")]
pub(crate) fn value(name: &str) -> Option<String> {
    std::env::var("TIDEGATE_FAULT").ok()?.strip_prefix(name)?.strip_prefix(':').map(str::to_owned)
}

/// Limits this process to as many further descriptors as `TIDEGATE_FAULT` says after `descriptors-left:`.
#[cfg(feature = "faults")]
pub(crate) fn starve() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Some(left) = value("descriptors-left").and_then(|left| left.parse::<u64>().ok()) else { return };
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) as u64;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(open + left), maximum: getrlimit(Resource::Nofile).maximum });
}

/// Does nothing.
#[cfg(not(feature = "faults"))]
pub(crate) fn starve() {}

/// Returns `None`.
#[cfg(not(feature = "faults"))]
pub(crate) fn value(_name: &str) -> Option<String> {
    None
}

/// Returns `false`.
#[cfg(not(feature = "faults"))]
pub(crate) fn named(_name: &str) -> bool {
    false
}

/// Does nothing.
#[cfg(not(feature = "faults"))]
pub(crate) fn point(_name: &str) {}

/// Delays planning if `wish` begins with, say, `plans 1200` (milliseconds). The rest of `wish` is for [`die`].
#[cfg(feature = "faults")]
pub(crate) fn plan(wish: &str) {
    let mut words = wish.split_whitespace();
    if let (Some("plans"), Some(Ok(long))) = (words.next(), words.next().map(str::parse)) {
        std::thread::sleep(std::time::Duration::from_millis(long));
    }
}

/// Does nothing.
#[cfg(not(feature = "faults"))]
pub(crate) fn plan(_wish: &str) {}

/// Aborts or stalls if `wish` names rows or blocks of the worker's piece.
///
/// `rows 3 17` and `blocks 2` abort there, `stalls 3` stalls, and `reads 3` aborts wherever the row is read, unless `without` has
/// it. With no `piece` the worker is on the whole.
#[cfg(feature = "faults")]
pub(crate) fn die(wish: &str, piece: Option<tidegate_sandbox::Piece>, without: &[std::ops::Range<u64>]) {
    use tidegate_sandbox::Piece;
    let mut words = wish.split_whitespace().skip(if wish.starts_with("plans") { 2 } else { 0 });
    let what = words.next().unwrap_or_default();
    let on = |number: u64| match piece {
        _ if what == "reads" && without.iter().any(|rows| rows.contains(&number)) => false,
        None => true,
        Some(Piece::Rows { from, to }) => what != "blocks" && (from..to).contains(&number),
        Some(Piece::Blocks { .. }) if what == "reads" => true,
        Some(Piece::Blocks { from, to }) => what == "blocks" && (u64::from(from)..u64::from(to)).contains(&number),
    };
    if words.filter_map(|word| word.parse().ok()).any(on) {
        if what == "stalls" {
            std::thread::sleep(std::time::Duration::from_secs(3600));
        }
        std::process::abort();
    }
}

/// Does nothing.
#[cfg(not(feature = "faults"))]
pub(crate) fn die(_wish: &str, _piece: Option<tidegate_sandbox::Piece>, _without: &[std::ops::Range<u64>]) {}
