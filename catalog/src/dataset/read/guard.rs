//! Guard around third-party readers: whatever bytes they are given, failures become errors naming the file.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    path::Path,
    sync::Once,
};

use tidegate_protocol::shown::plain;

use crate::dataset::{DataError, broken};

thread_local! {
    /// Whether a panic on this thread is being turned into an error, with nothing printed.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Maximum number of characters quoted from a reader's message.
const WORDS: usize = 200;

/// Runs `read` over the file at `path`, turning a panic into an error.
pub(crate) fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !CAUGHT.get() {
                before(panic);
            }
        }));
    });
    let outer = CAUGHT.replace(true);
    let result = catch_unwind(AssertUnwindSafe(read));
    CAUGHT.set(outer);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        let text: String = plain(text.unwrap_or_default()).chars().take(WORDS).collect();
        Err(broken(path, format!("is damaged, or its variant of the format is not supported ({text})")))
    })
}
