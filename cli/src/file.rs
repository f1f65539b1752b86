//! Files named on the command line. Errors name the option, and say what can be given there.

use std::path::Path;

use anyhow::Context as _;
use tidegate_files::read_given_text;
use tidegate_node::buyer::results;
use tidegate_protocol::{
    grant, limits,
    policy::{Policy, PolicyFile},
};

/// Maximum number of characters of an argument repeated in errors.
const SHOWN_CHARS: usize = 80;

/// Formats an option and its file for errors; a long argument, such as a token, is cut.
fn named(option: &str, path: &Path) -> String {
    let word = path.display().to_string();
    let more = if word.chars().count() > SHOWN_CHARS { "…" } else { "" };
    format!("{option} {}{more}", word.chars().take(SHOWN_CHARS).collect::<String>())
}

/// Reads the bytes of the file named by an option.
///
/// # Errors
/// Returns an error naming the option and the file.
pub(crate) fn bytes(option: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| named(option, path))
}

/// Reads the text of the file named by an option.
///
/// # Errors
/// As [`bytes`]; also fails if the file is not UTF-8.
pub(crate) fn text(option: &str, path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| named(option, path))
}

/// Reads the text of somebody else's file, which must be a regular file, no longer than a message between nodes.
///
/// # Errors
/// Returns an error naming the file.
pub(crate) fn given(path: &Path) -> anyhow::Result<String> {
    read_given_text(path, limits::FRAME_BYTES as u64).with_context(|| path.display().to_string())
}

/// Reads the policy in the TOML file named by `--policy`.
///
/// # Errors
/// As [`text`]; for an unsafe policy, names its field and the fix.
pub(crate) fn policy(path: &Path) -> anyhow::Result<Policy> {
    policy_of("--policy", path)
}

/// Like [`policy()`], for the TOML file named by an option or argument.
///
/// # Errors
/// As [`policy()`].
pub(crate) fn policy_of(option: &str, path: &Path) -> anyhow::Result<Policy> {
    let text = text(option, path).map_err(|e| anyhow::anyhow!("{e:#}; `tidegate new policy FILE` writes a template"))?;
    let file = PolicyFile::parse(&text).with_context(|| named(option, path))?;
    Ok(file.check(|epsilon, delta| tidegate_gate::rho_of(epsilon, delta).ok())?)
}

/// Reads a grant's token: the text of the file named by an option, or the argument itself if there is no such file.
///
/// # Errors
/// Returns an error naming the option and what can be given, if the argument is not a token either.
pub(crate) fn grant(option: &str, given: &Path) -> anyhow::Result<String> {
    match std::fs::read_to_string(given) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(e) => {
            let word = given.to_str().unwrap_or_default().trim();
            if grant::ids(word).is_ok() {
                return Ok(word.to_owned());
            }
            let hint = "give the file written by the owner's `tidegate grant … --out FILE`, or the token itself";
            Err(anyhow::anyhow!("{}: {e}; {hint}", named(option, given)))
        }
    }
}

/// Like [`grant()`] for `--grant`; empty if none was given.
///
/// # Errors
/// As [`grant()`].
pub(crate) fn optional_grant(given: Option<&Path>) -> anyhow::Result<String> {
    Ok(given.map(|given| grant("--grant", given)).transpose()?.unwrap_or_default())
}

/// Checks that the file named by an option can be written, before an action that cannot be repeated for nothing.
///
/// # Errors
/// Returns an error naming the option and the file.
pub(crate) fn can_write(option: &str, path: &Path) -> anyhow::Result<()> {
    results::can_write(path, true).map_err(|e| of(option, &e))
}

/// Puts the name of the option before the error of its file.
pub(crate) fn of(option: &str, e: &dyn std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!("{option} {e}")
}

/// Writes the file named by an option.
///
/// # Errors
/// Returns an error naming the option and the file.
pub(crate) fn write(option: &str, path: &Path, what: impl AsRef<[u8]>) -> anyhow::Result<()> {
    std::fs::write(path, what).map_err(|e| anyhow::anyhow!("{}: {e}; give a writable file", named(option, path)))
}
