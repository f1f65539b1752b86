//! The only way out for text that commands print and log. Others' texts in it cannot move, hide or repaint the text around them.

use std::{
    borrow::Cow,
    fmt,
    io::{self, Write},
};

use tidegate_protocol::shown;

/// Escapes text for a terminal, a file or another program.
///
/// Line breaks and tabs are this program's; of other characters that change how others are displayed, only the numbers remain. In
/// JSON these escapes mean the same texts, and JSON has such characters nowhere else.
fn safe(text: &str) -> Cow<'_, str> {
    let passes = |c: char| !shown::repaints(c) || matches!(c, '\n' | '\t');
    if text.chars().all(passes) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if passes(c) { safe.push(c) } else { safe += &format!("\\u{:04x}", u32::from(c)) }
    }
    safe.into()
}

fn put(mut to: impl Write, text: fmt::Arguments<'_>) {
    let line = format!("{}\n", safe(&text.to_string()));
    if let Err(e) = to.write_all(line.as_bytes()) {
        // The reader is gone: this program ends, as a program before it in a pipe does then.
        std::process::exit(if e.kind() == io::ErrorKind::BrokenPipe { 141 } else { 1 });
    }
}

/// Like the standard `println`, with the text made [`safe`].
pub(crate) fn out(text: fmt::Arguments<'_>) {
    put(io::stdout().lock(), text);
}

/// Like the standard `eprintln`, with the text made [`safe`].
pub(crate) fn err(text: fmt::Arguments<'_>) {
    put(io::stderr().lock(), text);
}

/// Prints an error for people. Lines after the first are indented: no line of a peer's looks like one of ours.
pub(crate) fn error(e: &anyhow::Error) {
    err(format_args!("error: {}", whole(e).replace('\n', "\n  ")));
}

/// Formats an error with those of its causes whose text it does not have yet.
fn whole(e: &anyhow::Error) -> String {
    e.chain()
        .skip(1)
        .map(ToString::to_string)
        .fold(e.to_string(), |text, cause| if text.contains(&cause) { text } else { format!("{text}: {cause}") })
}

/// Formats an event of the log, which ends with its only line break.
fn one_line(event: &[u8]) -> String {
    let text = String::from_utf8_lossy(event);
    format!("{}\n", shown::plain(text.strip_suffix('\n').unwrap_or(&text)))
}

/// Writer of log lines: each event is a line, whatever texts of others are in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // If nobody reads the log, work goes on: an error here would be reported on the same stream, by the standard macro, which
        // panics.
        let _ = io::stderr().lock().write_all(one_line(line).as_bytes());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hides the standard macro of this name: all output of commands goes through `out`.
macro_rules! println {
    ($($text:tt)*) => { $crate::out::out(format_args!($($text)*)) };
}

/// Like `println`.
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::out::err(format_args!($($text)*)) };
}

/// Hides the standard macro, which writes any text unescaped.
#[allow(unused_macros)] // It is there to be out of reach.
macro_rules! print {
    ($($text:tt)*) => {
        compile_error!("write lines: println")
    };
}

/// Like `print`.
#[allow(unused_macros)]
macro_rules! eprint {
    ($($text:tt)*) => {
        compile_error!("write lines: eprintln")
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_the_log() {
        assert_eq!(one_line(b"WARN a peer said x\n"), "WARN a peer said x\n");
        let shown = one_line("WARN it said \u{1b}[2J\nINFO all is well\n".as_bytes());
        assert_eq!(shown, "WARN it said \u{FFFD}[2J\u{FFFD}INFO all is well\n");
    }

    #[test]
    fn what_repaints_leaves_as_its_number_and_json_stays_what_it_was() {
        assert_eq!(safe("a\tb\nc"), "a\tb\nc");
        assert_eq!(safe("x\u{1b}[31mred\u{7}\r"), "x\\u001b[31mred\\u0007\\u000d");
        let value = serde_json::json!({ "name\u{9b}": "\u{202e}\u{7f}\n" });
        let text = serde_json::to_string(&value).unwrap();
        let shown = safe(&text);
        assert!(shown::is_plain(&shown), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
