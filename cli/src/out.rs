//! The one way out for words: what commands print and log. Texts of others' are in it, and none of them moves, hides or repaints what stands around it.

use std::{
    borrow::Cow,
    fmt,
    io::{self, Write},
};

use tidegate_protocol::shown;

/// What leaves for a terminal, a file or another program: line breaks and tabs are this program's; of other characters that change how others are shown there is
/// nothing but their numbers. In JSON these are the same texts, and nowhere else does it have such characters.
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
        // Nobody reads on: the program before it in a pipe ends too.
        std::process::exit(if e.kind() == io::ErrorKind::BrokenPipe { 141 } else { 1 });
    }
}

/// As the standard `println`, of what is [`safe`].
pub(crate) fn out(text: fmt::Arguments<'_>) {
    put(io::stdout().lock(), text);
}

/// As the standard `eprintln`, of what is [`safe`].
pub(crate) fn err(text: fmt::Arguments<'_>) {
    put(io::stderr().lock(), text);
}

/// An error for people. What follows its first line is set in: no line of a peer's looks like one of ours.
pub(crate) fn error(e: &anyhow::Error) {
    err(format_args!("error: {}", format!("{e:#}").replace('\n', "\n  ")));
}

/// An event of the log, which ends with a line break, and has no other.
fn one_line(event: &[u8]) -> String {
    let text = String::from_utf8_lossy(event);
    format!("{}\n", shown::plain(text.strip_suffix('\n').unwrap_or(&text)))
}

/// Where log lines go: one each, whatever texts of others are in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Where nobody reads the log, what is logged goes on: an error here would be told on the same stream, with the standard macro, which panics.
        let _ = io::stderr().lock().write_all(one_line(line).as_bytes());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Everything that commands print goes this way: the standard macro of this name is out of reach.
macro_rules! println {
    ($($text:tt)*) => { $crate::out::out(format_args!($($text)*)) };
}

/// As `println`.
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::out::err(format_args!($($text)*)) };
}

/// The standard macros write what they are given: none is left.
#[allow(unused_macros)] // It is there to be out of reach.
macro_rules! print {
    ($($text:tt)*) => {
        compile_error!("write lines: println")
    };
}

/// As `print`.
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
