//! Tables that fit the terminal.

use comfy_table::{
    ContentArrangement, Table,
    presets::{NOTHING, UTF8_FULL_CONDENSED},
};

/// Narrowest width that is believed.
const LEAST: usize = 20;

/// Returns the number of characters of a line: `COLUMNS` if it is set, else the terminal's; `None` if the output is no terminal.
pub(crate) fn width() -> Option<usize> {
    let told = std::env::var("COLUMNS").ok().and_then(|word| word.trim().parse().ok()).filter(|width| *width > 0);
    told.or_else(|| Table::new().width().map(usize::from)).map(|width| width.max(LEAST))
}

/// Names of columns, and rows of texts. The texts are safe for a terminal.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Sheet {
    /// Creates a table of columns with these names.
    pub(crate) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self { names: names.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, row: impl IntoIterator<Item = String>) {
        self.rows.push(row.into_iter().collect());
    }

    /// Formats the table for the terminal: a line for each row where the lines fit, else a block for each row.
    pub(crate) fn fitted(&self) -> String {
        self.within(width())
    }

    fn within(&self, width: Option<usize>) -> String {
        let mut table = Table::new();
        table.load_preset(UTF8_FULL_CONDENSED).force_no_tty();
        table.set_header(&self.names);
        for row in &self.rows {
            table.add_row(row);
        }
        let Some(width) = width.filter(|width| of(&table) > *width) else { return table.to_string() };
        if self.rows.is_empty() {
            return narrowed(&mut table, width).trim_fmt();
        }
        let blocks = self.rows.iter().zip(1..).map(|(row, number)| self.block(row, number, width));
        blocks.collect::<Vec<_>>().join("\n")
    }

    /// Formats a row as a block, with a line for each column; long texts are folded.
    fn block(&self, row: &[String], number: usize, width: usize) -> String {
        let mut block = Table::new();
        block.load_preset(NOTHING).force_no_tty();
        for (name, text) in self.names.iter().zip(row) {
            block.add_row([name, text]);
        }
        format!("row {number} of {}\n{}", self.rows.len(), narrowed(&mut block, width).trim_fmt())
    }
}

fn narrowed(table: &mut Table, width: usize) -> &Table {
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(u16::try_from(width).unwrap_or(u16::MAX))
}

/// Returns the number of characters of a table's lines: each column has a blank on either side, and a border after it.
fn of(table: &Table) -> usize {
    table.column_max_content_widths().iter().map(|width| usize::from(*width) + 3).sum::<usize>() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> Sheet {
        let mut sheet = Sheet::new(["town", "people", "spending"].map(String::from));
        sheet.add(["north", "1993  [1978, 2008]", "254  [210, 298]"].map(String::from));
        sheet.add(["größe", "697  [682, 712]", "132  [0, 256]"].map(String::from));
        sheet
    }

    #[test]
    fn a_table_keeps_its_lines_where_they_fit() {
        let whole = sheet().within(None);
        assert_eq!(whole.lines().count(), 6, "{whole}");
        let needed = whole.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(whole.lines().all(|line| line.chars().count() == needed), "{whole}");
        assert_eq!(sheet().within(Some(needed)), whole);
        assert_ne!(sheet().within(Some(needed - 1)), whole);
    }

    #[test]
    fn a_row_is_a_block_where_its_line_does_not_fit() {
        let narrow = sheet().within(Some(40));
        let lines: Vec<_> = narrow.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let first = ["row 1 of 2", "town north", "people 1993 [1978, 2008]", "spending 254 [210, 298]"];
        assert_eq!(lines[..4], first, "{narrow}");
        assert_eq!(lines[4..], ["row 2 of 2", "town größe", "people 697 [682, 712]", "spending 132 [0, 256]"], "{narrow}");
        let folded = sheet().within(Some(LEAST));
        assert!(folded.lines().all(|line| line.chars().count() <= LEAST) && folded.contains("1978"), "{folded}");
    }

    #[test]
    fn a_table_without_rows_names_its_columns() {
        let none = Sheet::new(["town", "people", "spending"].map(String::from));
        assert!(none.within(None).contains("│ town ┆ people ┆ spending │"), "{}", none.within(None));
        let narrow = none.within(Some(LEAST));
        assert!(narrow.lines().all(|line| line.chars().count() <= LEAST), "{narrow}");
    }
}
