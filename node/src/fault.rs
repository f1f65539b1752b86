//! Crash points, compiled in for tests alone.

/// Aborts the process here when the environment's `TIDEGATE_FAULT` names this point, as a power cut would.
#[cfg(feature = "faults")]
pub(crate) fn point(name: &str) {
    if named(name) {
        std::process::abort();
    }
}

/// Whether `TIDEGATE_FAULT` names this.
#[cfg(feature = "faults")]
pub(crate) fn named(name: &str) -> bool {
    std::env::var("TIDEGATE_FAULT").is_ok_and(|wanted| wanted == name)
}

/// What `TIDEGATE_FAULT` says after `name:`.
#[cfg(feature = "faults")]
pub(crate) fn value(name: &str) -> Option<String> {
    std::env::var("TIDEGATE_FAULT").ok()?.strip_prefix(name)?.strip_prefix(':').map(str::to_owned)
}

/// Leaves this process only so many descriptors more as `TIDEGATE_FAULT` says after `descriptors-left:`.
#[cfg(feature = "faults")]
pub(crate) fn starve() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Some(left) = value("descriptors-left").and_then(|left| left.parse::<u64>().ok()) else { return };
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) as u64;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(open + left), maximum: getrlimit(Resource::Nofile).maximum });
}

/// Nothing.
#[cfg(not(feature = "faults"))]
pub(crate) fn starve() {}

/// Nothing.
#[cfg(not(feature = "faults"))]
pub(crate) fn value(_name: &str) -> Option<String> {
    None
}

/// No.
#[cfg(not(feature = "faults"))]
pub(crate) fn named(_name: &str) -> bool {
    false
}

/// Nothing.
#[cfg(not(feature = "faults"))]
pub(crate) fn point(_name: &str) {}

/// Takes long to plan where that is wished: `plans 1200` milliseconds, and then what [`die`] is told.
#[cfg(feature = "faults")]
pub(crate) fn plan(wish: &str) {
    let mut words = wish.split_whitespace();
    if let (Some("plans"), Some(Ok(long))) = (words.next(), words.next().map(str::parse)) {
        std::thread::sleep(std::time::Duration::from_millis(long));
    }
}

/// Nothing.
#[cfg(not(feature = "faults"))]
pub(crate) fn plan(_wish: &str) {}

/// Dies, or stalls, where that is wished of what a worker is on: of the rows or blocks of these numbers (`rows 3 17`, `blocks 2`, `stalls 3`), or wherever a row is read, if it is
/// not one to be passed over (`reads 3`). Of the whole where `piece` is none.
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

/// Nothing.
#[cfg(not(feature = "faults"))]
pub(crate) fn die(_wish: &str, _piece: Option<tidegate_sandbox::Piece>, _without: &[std::ops::Range<u64>]) {}
