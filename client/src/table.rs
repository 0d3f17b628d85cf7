//! Rows in columns, aligned by display width. Cuts nothing off: a pipe wants all of it.

use crate::text::{Style, Text};

/// The heading of a column, and on which side its cells stand.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    name: &'static str,
    right: bool,
}

/// A column of words.
pub const fn left(name: &'static str) -> Column {
    Column { name, right: false }
}

/// A column of numbers.
pub const fn right(name: &'static str) -> Column {
    Column { name, right: true }
}

/// Blanks between two columns.
const GAP: usize = 2;

/// A table under construction.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Text>>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: &[Column]) -> Table {
        let head = columns.iter().map(|column| Text::new().with(Style::Dim, column.name)).collect();
        Table { columns: columns.to_vec(), rows: vec![head] }
    }

    /// Adds a row; cells that it lacks stay empty, cells beyond the last column are not shown.
    pub fn row<const N: usize>(&mut self, cells: [Text; N]) {
        self.rows.push(cells.into());
    }

    /// The heading and the rows, each as one line without blanks at its end.
    pub fn lines(&self) -> Vec<Text> {
        let widths: Vec<usize> = (0..self.columns.len()).map(|index| self.column_width(index)).collect();
        self.rows.iter().map(|row| self.line(row, &widths)).collect()
    }

    fn column_width(&self, index: usize) -> usize {
        self.rows.iter().filter_map(|row| row.get(index)).map(Text::width).max().unwrap_or(0)
    }

    fn line(&self, row: &[Text], widths: &[usize]) -> Text {
        let mut line = Text::new();
        // Blanks are owed, and paid only before something visible.
        let mut owed = 0;
        for ((cell, column), width) in row.iter().zip(&self.columns).zip(widths) {
            let slack = width - cell.width();
            let (before, after) = if column.right { (slack, 0) } else { (0, slack) };
            owed += before;
            if cell.width() > 0 {
                line = line.with(Style::Plain, " ".repeat(owed)).then(cell.clone());
                owed = 0;
            }
            owed += after + GAP;
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_by_columns_of_the_terminal() {
        let mut table = Table::new(&[left("NODE"), right("CPU"), left("NOTE")]);
        table.row(["節点".into(), "7".into(), "".into()]);
        table.row([Text::new().with(Style::Bad, "n1"), "100".into(), "hot".into()]);
        table.row(["a-longer-name".into(), "".into(), "x".into()]);
        let plain: Vec<String> = table.lines().iter().map(|line| line.paint(false)).collect();
        assert_eq!(
            plain,
            [
                "NODE           CPU  NOTE",
                "節点             7",
                "n1             100  hot",
                "a-longer-name       x"
            ]
        );
        assert!(table.lines()[2].paint(true).starts_with("\u{1b}[1;31mn1\u{1b}[0m  "));
    }
}
