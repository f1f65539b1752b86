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

/// No.
#[cfg(not(feature = "faults"))]
pub(crate) fn named(_name: &str) -> bool {
    false
}

/// Nothing.
#[cfg(not(feature = "faults"))]
pub(crate) fn point(_name: &str) {}
