//! Files that are named on the command line. An error says which option named the file, and what can be given there.

use std::path::Path;

use anyhow::Context as _;
use tidegate_files::read_given_text;
use tidegate_node::results;
use tidegate_protocol::{
    grant, limits,
    policy::{Policy, PolicyFile},
};

/// Most characters of an argument that an error repeats.
const SHOWN_CHARS: usize = 80;

/// An option and the file that it names, as an error shows them: an argument that is long (a token, say) is cut.
fn named(option: &str, path: &Path) -> String {
    let word = path.display().to_string();
    let more = if word.chars().count() > SHOWN_CHARS { "…" } else { "" };
    format!("{option} {}{more}", word.chars().take(SHOWN_CHARS).collect::<String>())
}

/// The bytes of the file that an option names.
///
/// # Errors
/// Names the option and the file.
pub(crate) fn bytes(option: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| named(option, path))
}

/// The text of the file that an option names.
///
/// # Errors
/// As [`bytes`]; of a file that is no UTF-8 too.
pub(crate) fn text(option: &str, path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| named(option, path))
}

/// The text of a file that somebody else made: a regular one, no longer than a message between nodes.
///
/// # Errors
/// Names the file.
pub(crate) fn given(path: &Path) -> anyhow::Result<String> {
    read_given_text(path, limits::FRAME_BYTES as u64).with_context(|| path.display().to_string())
}

/// The policy in the TOML file that `--policy` names.
///
/// # Errors
/// As [`text`]; of a policy that is not safe, naming its field and the fix.
pub(crate) fn policy(path: &Path) -> anyhow::Result<Policy> {
    let file = PolicyFile::parse(&text("--policy", path)?).with_context(|| named("--policy", path))?;
    Ok(file.check(|epsilon, delta| tidegate_gate::rho_of(epsilon, delta).ok())?)
}

/// A grant's token: the text of the file that an option names, or the argument itself where it is a token and there is no such file.
///
/// # Errors
/// Names the option, and what can be given.
pub(crate) fn grant(option: &str, given: &Path) -> anyhow::Result<String> {
    match std::fs::read_to_string(given) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(e) => {
            let word = given.to_str().unwrap_or_default().trim();
            if grant::ids(word).is_ok() {
                return Ok(word.to_owned());
            }
            let hint = "give the file that the owner's `tidegate grant … --out FILE` wrote, or that token's text";
            Err(anyhow::anyhow!("{}: {e}; {hint}", named(option, given)))
        }
    }
}

/// As [`grant()`] of `--grant`; empty where none was given.
///
/// # Errors
/// As [`grant()`].
pub(crate) fn optional_grant(given: Option<&Path>) -> anyhow::Result<String> {
    Ok(given.map(|given| grant("--grant", given)).transpose()?.unwrap_or_default())
}

/// Checks that the file that an option names can be written, before something is done that cannot be done again for nothing.
///
/// # Errors
/// Names the option and the file.
pub(crate) fn can_write(option: &str, path: &Path) -> anyhow::Result<()> {
    results::can_write(path, true).map_err(|e| of(option, &e))
}

/// What is wrong with a file, under the name of the option that named it.
pub(crate) fn of(option: &str, e: &dyn std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!("{option} {e}")
}

/// Writes the file that an option names.
///
/// # Errors
/// Names the option and the file.
pub(crate) fn write(option: &str, path: &Path, what: impl AsRef<[u8]>) -> anyhow::Result<()> {
    std::fs::write(path, what).with_context(|| named(option, path))
}
