//! Crash points, compiled in for tests alone.

/// Aborts the process here when the environment's `TIDEGATE_FAULT` names this point, as a power cut would.
#[cfg(feature = "faults")]
pub(crate) fn point(name: &str) {
    if std::env::var("TIDEGATE_FAULT").is_ok_and(|wanted| wanted == name) {
        std::process::abort();
    }
}

/// Nothing.
#[cfg(not(feature = "faults"))]
pub(crate) fn point(_name: &str) {}
