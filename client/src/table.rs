//! Rows in columns, aligned by display width. Cuts nothing off: a pipe wants all of it. On a terminal that is
//! too narrow for a line, whole columns are left out, first those with nothing in them.

use crate::mark::Marks;
use crate::text::{Style, Text};

/// The heading of a column, and on which side its cells stand.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    name: &'static str,
    right: bool,
    extra: bool,
}

impl Column {
    /// A column that a narrow terminal does without.
    pub const fn extra(self) -> Column {
        Column { extra: true, ..self }
    }
}

/// A column of words.
pub const fn left(name: &'static str) -> Column {
    Column { name, right: false, extra: false }
}

/// A column of numbers.
pub const fn right(name: &'static str) -> Column {
    Column { name, right: true, extra: false }
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
    pub fn lines(&self, marks: Marks) -> Vec<Text> {
        let widths: Vec<usize> = (0..self.columns.len()).map(|index| self.column_width(index)).collect();
        let shown = self.shown(&widths, marks.width);
        self.rows.iter().map(|row| self.line(row, &shown, &widths)).collect()
    }

    /// The columns that there is room for, or at least those that cannot be done without.
    fn shown(&self, widths: &[usize], room: Option<usize>) -> Vec<usize> {
        let mut shown: Vec<usize> = (0..widths.len()).collect();
        let width = |shown: &[usize]| shown.iter().map(|at| widths[*at] + GAP).sum::<usize>();
        let fits = |shown: &[usize]| room.is_none_or(|room| width(shown) <= room + GAP);
        if !fits(&shown) {
            shown.retain(|at| self.says_something(*at));
        }
        while !fits(&shown)
            && let Some(last) = shown.iter().rposition(|at| self.columns[*at].extra)
        {
            shown.remove(last);
        }
        shown
    }

    fn says_something(&self, index: usize) -> bool {
        let cells = self.rows.iter().skip(1).filter_map(|row| row.get(index));
        cells.map(|cell| cell.paint(false)).any(|cell| !matches!(&*cell, "" | "-"))
    }

    fn column_width(&self, index: usize) -> usize {
        self.rows.iter().filter_map(|row| row.get(index)).map(Text::width).max().unwrap_or(0)
    }

    fn line(&self, row: &[Text], shown: &[usize], widths: &[usize]) -> Text {
        let mut line = Text::new();
        // Blanks are owed, and paid only before something visible.
        let mut owed = 0;
        for (at, cell) in shown.iter().filter_map(|at| Some((*at, row.get(*at)?))) {
            let slack = widths[at] - cell.width();
            let (before, after) = if self.columns[at].right { (slack, 0) } else { (0, slack) };
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
        let plain: Vec<String> = table.lines(Marks::default()).iter().map(|line| line.paint(false)).collect();
        assert_eq!(
            plain,
            [
                "NODE           CPU  NOTE",
                "節点             7",
                "n1             100  hot",
                "a-longer-name       x"
            ]
        );
        assert!(table.lines(Marks::default())[2].paint(true).starts_with("\u{1b}[1;31mn1\u{1b}[0m  "));
    }

    #[test]
    fn a_narrow_terminal_does_without_some() {
        let mut table = Table::new(&[
            left("NODE"),
            left("ZONE"),
            right("CPUS").extra(),
            right("MEM").extra(),
            left("NOTE"),
        ]);
        table.row(["n1".into(), "-".into(), "8".into(), "1 G".into(), "hot".into()]);
        table.row(["n2".into(), "".into(), "-".into(), "2 G".into(), "".into()]);
        for (width, heading) in [
            (27, "NODE  ZONE  CPUS  MEM  NOTE"),
            (26, "NODE  CPUS  MEM  NOTE"),
            (21, "NODE  CPUS  MEM  NOTE"),
            (20, "NODE  CPUS  NOTE"),
            (15, "NODE  NOTE"),
            (1, "NODE  NOTE"),
        ] {
            let marks = Marks { width: Some(width), ..Marks::default() };
            assert_eq!(table.lines(marks)[0].paint(false), heading, "{width}");
        }
    }
}
