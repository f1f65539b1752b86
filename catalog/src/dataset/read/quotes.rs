//! Byte-by-byte tracking of a text file's quotes.
//!
//! A misplaced quote could make a value of one record swallow the records after it, so such a file is refused.
//!
//! A line that begins within quotes may be another record swallowed by a quote left open. It is read as if it began a record too
//! ([`Begun`]), whether the quotes close in it or not, and refused if it has as many values as a record, or continues beyond the
//! record that it stands in. Whether a record is refused follows from that record alone.

use super::ADD;

/// Position of a byte in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Record,
    Comment,
    Field,
    Plain,
    Quoted,
    /// After a quote closing a value, or the first of a doubled quote.
    Closed,
}

/// Syntax of a file's records.
#[derive(Debug, Clone)]
pub(super) struct Marks {
    pub(super) delimiter: u8,
    pub(super) quote: u8,
    pub(super) comment: Option<u8>,
    /// Whether line breaks in quotes may be followed by text resembling a record.
    pub(super) multiline: bool,
}

/// Tracker of a file's quotes.
#[derive(Debug)]
pub(super) struct Quotes {
    marks: Marks,
    header: Vec<String>,
    at: At,
    line: u64,
    field: usize,
    /// Line and value in which the last quote was opened.
    opened: (u64, usize),
    /// Hypothetical record begun by the current line, or an earlier one, if the line did not begin within quotes.
    ///
    /// There is at most one: a line ends outside of the record's quotes or outside of the line's own.
    begun: Option<Begun>,
}

/// Line beginning within quotes, parsed as the beginning of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Begun {
    at: At,
    /// Number of its values so far.
    values: usize,
    line: u64,
    /// Line and value in which the quotes around its beginning were opened.
    within: (u64, usize),
    /// Whether its own quotes are well-formed so far. If not, parsing continues as in the reader.
    orderly: bool,
}

impl Begun {
    /// Processes the next byte.
    fn step(&mut self, byte: u8, is_break: bool, marks: &Marks) {
        self.at = match self.at {
            At::Comment if byte == b'\n' => At::Record,
            At::Comment => At::Comment,
            At::Record if is_break => At::Record,
            At::Record if Some(byte) == marks.comment => At::Comment,
            At::Quoted if byte == marks.quote => At::Closed,
            At::Quoted => At::Quoted,
            At::Closed if byte == marks.quote => At::Quoted,
            at if is_break => at,
            _ if byte == marks.delimiter => {
                self.values += 1;
                At::Field
            }
            At::Record | At::Field if byte == marks.quote => At::Quoted,
            At::Plain if byte != marks.quote => At::Plain,
            At::Plain | At::Closed => {
                self.orderly = false;
                At::Plain
            }
            At::Record | At::Field => At::Plain,
        };
    }

    /// Returns whether this could be a record of `values` values at the end of a line.
    ///
    /// With `is_last`, the line is the last of the record that it stands in.
    fn is_record(&self, values: usize, is_last: bool) -> bool {
        let is_there = !matches!(self.at, At::Record | At::Comment);
        // A line that begins with a quote is the end of a text that ends in a line break, as many do.
        is_there && self.values == values
            || is_last && self.at == At::Quoted && self.orderly && (2..values).contains(&self.values)
    }

    /// Returns whether the record continues in the next line.
    fn goes_on(&self) -> bool {
        self.at == At::Quoted && self.orderly || self.at == At::Comment
    }
}

impl Quotes {
    /// Starts tracking a file whose first record is the `header`, in this line.
    pub(super) fn new(marks: Marks, header: Vec<String>, line: u64) -> Self {
        Self { marks, header, at: At::Record, line, field: 0, opened: (line, 0), begun: None }
    }

    /// Formats line and column of a value.
    fn place(&self, (line, field): (u64, usize)) -> String {
        match self.header.get(field) {
            Some(name) => format!("line {line}, column {}", tidegate_protocol::shown::plain(name)),
            None => format!("line {line}, value {}", field + 1),
        }
    }

    /// Processes the next bytes.
    ///
    /// # Errors
    /// Returns a description of a misplaced quote, with its place and what to do.
    pub(super) fn see(&mut self, bytes: &[u8]) -> Result<(), String> {
        bytes.iter().try_for_each(|byte| self.step(*byte))
    }

    fn step(&mut self, byte: u8) -> Result<(), String> {
        let is_break = byte == b'\n' || byte == b'\r';
        self.at = match self.at {
            // As the reader ends a comment.
            At::Comment if byte == b'\n' => At::Record,
            At::Comment => At::Comment,
            At::Record if is_break => At::Record,
            At::Record if Some(byte) == self.marks.comment => At::Comment,
            At::Quoted if byte == self.marks.quote => At::Closed,
            At::Quoted => At::Quoted,
            At::Closed if byte == self.marks.quote => At::Quoted,
            // A quote that opens here for a human, but not for the reader, would make the reader close another person's quote.
            At::Plain if byte == self.marks.quote => {
                return Err(format!(
                    "{}: a quote within an unquoted value. Quote the value, and double the quotes in it; if {} is not a quote character here, {ADD}quote = …",
                    self.place((self.line, self.field)),
                    char::from(self.marks.quote)
                ));
            }
            At::Plain if !is_break && byte != self.marks.delimiter => At::Plain,
            _ if is_break => {
                self.field = 0;
                At::Record
            }
            _ if byte == self.marks.delimiter => {
                self.field += 1;
                At::Field
            }
            At::Closed => {
                return Err(format!(
                    "{}: text after a closing quote. Double a quote within a value, or end the value at the quote; if {} is not a quote character \
                     here, {ADD}quote = …",
                    self.place((self.line, self.field)),
                    char::from(self.marks.quote)
                ));
            }
            At::Record | At::Field if byte == self.marks.quote => {
                self.opened = (self.line, self.field);
                At::Quoted
            }
            At::Record | At::Field | At::Plain => At::Plain,
        };
        self.line += u64::from(byte == b'\n');
        self.begun(byte, is_break)
    }

    /// Tracks the hypothetical record of a line within quotes.
    fn begun(&mut self, byte: u8, is_break: bool) -> Result<(), String> {
        if let Some(begun) = &mut self.begun {
            begun.step(byte, is_break, &self.marks);
        }
        if !is_break || self.marks.multiline {
            return Ok(());
        }
        let is_within = self.at == At::Quoted;
        self.begun_is_none(!is_within)?;
        let next = Begun { at: At::Record, values: 1, line: self.line, within: self.opened, orderly: true };
        self.begun = is_within.then(|| self.begun.filter(Begun::goes_on).unwrap_or(next));
        Ok(())
    }

    fn begun_is_none(&self, is_last: bool) -> Result<(), String> {
        match self.begun.filter(|begun| begun.is_record(self.header.len(), is_last)) {
            Some(begun) => Err(format!(
                "{}: the quoted value that begins here spans a line ({}) that could be a row. Close the quote; if the line is part of the value, \
                 {ADD}multiline = true",
                self.place(begun.within),
                begun.line
            )),
            None => Ok(()),
        }
    }

    /// Processes the end of the file.
    ///
    /// # Errors
    /// Returns a description of a quote that is never closed, or continues over a line that could be a record.
    pub(super) fn end(&self) -> Result<(), String> {
        match self.at {
            At::Quoted => Err(self.unclosed()),
            _ => self.begun_is_none(true),
        }
    }

    /// Describes the problem of a value without an end.
    pub(super) fn unclosed(&self) -> String {
        format!(
            "{}: a quote is never closed. Close it, or double it within a quoted value; if {} is not a quote character here, {ADD}quote = …",
            self.place(self.opened),
            char::from(self.marks.quote)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, multiline: bool) -> Result<(), String> {
        let header = text.lines().next().unwrap().split(',').map(str::to_owned).collect();
        let marks = Marks { delimiter: b',', quote: b'"', comment: Some(b'#'), multiline };
        let mut quotes = Quotes::new(marks, header, 1);
        // Whatever pieces it comes in.
        let (first, rest) = text.as_bytes().split_at(text.len() / 2);
        quotes.see(first)?;
        quotes.see(rest)?;
        quotes.end()
    }

    #[test]
    fn quotes_are_in_order_or_named_by_line_and_column() {
        for good in [
            "p,t,n\n1,a,5\n2,\"b, c\",6\n",
            "p,t,n\r\n1,\"say \"\"hi\"\"\",5\r\n",
            "p,t,n\n1,\"\",5\n# it\"s a comment\n2,5 pipe,6",
            "p,t,n\n1,\"two\nlines, here\nand there\",5\n\n\"2\",x,\"\"\"\"",
            "p,t,n\r\n1,\"two\r\nlines\",5\r\n",
        ] {
            assert_eq!(said(good, false), Ok(()), "{good}");
        }
        for (bad, place, fix) in [
            (
                "p,t,n\n1,a,5\n2,\"b,6\n3,c,7\n",
                "line 3, column t: the quoted value that begins here spans a line (4)",
                "multiline",
            ),
            ("p,t,n\n1,a,5\n2,\"b,6\n", "line 3, column t: a quote is never closed", "quote ="),
            ("p,t,n\n2,5\" pipe,6\n", "line 2, column t: a quote within an unquoted value", "quote ="),
            ("p,t,n\n1,\"a\"b,5\n", "line 2, column t: text after a closing quote", "quote ="),
            ("p,t,n\n1,\"a\\\"b\\\"\",5\n", "line 2, column t: text after", "Double a quote"),
            ("p,t,n\n1,\"a\" ,5\n", "line 2, column t: text after", "Double a quote"),
            ("p,t,n\n1,\"x\ny\",5\n2,\"a,5\n3,,6\n2,z\",6\n", "line 4, column t: the quoted value that begins here", "multiline"),
            // Whoever closes it.
            (
                "p,t,n\n1,\"a,5\n2,\",\",d\n1,x,c\"\n",
                "line 2, column t: the quoted value that begins here spans a line (3)",
                "multiline",
            ),
            ("p,t,n\n1,5,\"a\n2,5,6'1\"\n", "line 2, column n: the quoted value that begins here spans a line (3)", "multiline"),
            ("p,t,n\n1,5,\"a\n2,5,\"", "line 2, column n: the quoted value that begins here spans a line (3)", "multiline"),
            // A line of another's that goes on, within and without.
            (
                "p,t,n\n1,\"b\n2,\",\n\",d\n1\",x,y\n",
                "line 2, column t: the quoted value that begins here spans a line (3)",
                "multiline",
            ),
            ("p,t,n\r\n2,\"a,5\r\n3,,6\r\n2,z\",6\r\n", "line 2, column t: the quoted value that begins here", "multiline"),
        ] {
            let said = said(bad, false).unwrap_err();
            assert!(said.starts_with(place) && said.contains(fix), "{bad}: {said}");
        }
        assert_eq!(said("p,t,n\n2,\"a,5\n3,,6\n2,z\",6\n", true), Ok(()));
    }
}
