//! A line over time, in characters: dots of braille on a terminal that knows them, stars on others.
//!
//! ```text
//!   1.25 ┤ ⢀⡠⠤⡀      ⡠      what has no value has no dot: a gap is a blank
//!      0 ┤⠔⠁  ⠈      ⠁
//!        └────────────────
//!         12:00:00   13:00:00
//! ```

use crate::quantity::figure;
use crate::text::{Style, Text};
use crate::view::Stamp;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// Dots of a cell, across and down.
const DOTS: (usize, usize) = (2, 4);
/// Narrowest plot that says anything.
const WIDTH_MIN: usize = 20;
const DAY: Duration = Duration::from_secs(86_400);

/// What a chart spans, and how large it is.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// The first moment.
    pub start: Stamp,
    /// The last moment.
    pub end: Stamp,
    /// Values that are no further apart belong to one line.
    pub step: Duration,
    /// Columns, axis and labels included.
    pub width: usize,
    /// Rows of the plot.
    pub height: usize,
    /// Whether braille may be used.
    pub unicode: bool,
}

/// Draws the values that are finite, in order of time.
pub fn draw(points: &[(Stamp, f64)], frame: Frame) -> Vec<Text> {
    let points: Vec<_> = points.iter().copied().filter(|(_, value)| value.is_finite()).collect();
    let low = points.iter().map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|(_, value)| *value).fold(f64::NEG_INFINITY, f64::max);
    if points.is_empty() {
        return vec![Text::new().with(Style::Dim, "no values")];
    }
    let labels = labels((low, high), frame.height);
    let margin = labels.iter().map(|label| label.width()).max().unwrap_or(0);
    let columns = frame.width.saturating_sub(margin + 3).max(WIDTH_MIN);
    let mut canvas = Canvas::new(columns, frame.height);
    canvas.plot(&points, (low, high), frame);
    let (tick, corner, line) = if frame.unicode { ("┤", "└", "─") } else { ("|", "+", "-") };
    let mut lines: Vec<Text> = labels
        .iter()
        .zip(canvas.rows(frame.unicode))
        .map(|(label, row)| {
            Text::new()
                .with(Style::Dim, format!("{label:>margin$} {tick}"))
                .with(Style::Plain, row.trim_end())
        })
        .collect();
    lines.push(Text::new().with(Style::Dim, format!("{:margin$} {corner}{}", "", line.repeat(columns))));
    let times = times((frame.start, frame.end), columns);
    lines.push(Text::new().with(Style::Dim, format!("{:margin$}  {times}", "")));
    lines
}

/// What stands at each row of the axis: the ends, or the one value in the middle.
fn labels((low, high): (f64, f64), height: usize) -> Vec<String> {
    let mut labels = vec![String::new(); height];
    let ends = if low < high { [(0, high), (height.saturating_sub(1), low)] } else { [(height / 2, low); 2] };
    for (row, value) in ends {
        if let Some(label) = labels.get_mut(row) {
            *label = figure(value);
        }
    }
    labels
}

/// The first and the last moment below the ends of the axis, and the one in between if there is room.
fn times((start, end): (Stamp, Stamp), columns: usize) -> String {
    let span = Duration::from_nanos(end.0.0.saturating_sub(start.0.0).max(0).cast_unsigned());
    let shown = |stamp: Stamp| {
        let text = stamp.to_string();
        // `2026-11-20T19:06:05.000Z`: the time of day, or the day and the minute.
        let part = if span <= DAY { text.get(11..19) } else { text.get(5..16) };
        part.map_or_else(|| text.clone(), |part| part.replace('T', " "))
    };
    let middle = shown(end.before(span / 2));
    let (start, end) = (shown(start), shown(end));
    let room = columns.saturating_sub(start.len() + end.len());
    if room < middle.len() + 4 {
        return format!("{start}{}{end}", " ".repeat(room.max(1)));
    }
    let left = (columns / 2).saturating_sub(start.len() + middle.len() / 2);
    let right = room.saturating_sub(left + middle.len());
    format!("{start}{}{middle}{}{end}", " ".repeat(left), " ".repeat(right))
}

/// Cells of dots.
struct Canvas {
    columns: usize,
    height: usize,
    cells: Vec<u8>,
}

impl Canvas {
    fn new(columns: usize, height: usize) -> Canvas {
        Canvas { columns, height, cells: vec![0; columns * height] }
    }

    fn plot(&mut self, points: &[(Stamp, f64)], (low, high): (f64, f64), frame: Frame) {
        let (across, down) = (self.columns * DOTS.0 - 1, self.height * DOTS.1 - 1);
        let span = frame.end.0.0.saturating_sub(frame.start.0.0).max(1) as f64;
        let place = |(at, value): (Stamp, f64)| {
            let x = (at.0.0.saturating_sub(frame.start.0.0)) as f64 / span * across as f64;
            // Halves first: the distance of two finite values need not be finite.
            let share = if low < high { (high / 2.0 - value / 2.0) / (high / 2.0 - low / 2.0) } else { 0.5 };
            (x.round().clamp(0.0, across as f64) as usize, (share * down as f64).round() as usize)
        };
        let mut before: Option<(Stamp, (usize, usize))> = None;
        for point in points {
            let here = place(*point);
            let from = before.filter(|(at, _)| is_next(*at, point.0, frame.step)).map_or(here, |it| it.1);
            self.line(from, here);
            before = Some((point.0, here));
        }
    }

    /// All dots between two, each column as high as the line is steep.
    fn line(&mut self, (from_x, from_y): (usize, usize), (to_x, to_y): (usize, usize)) {
        let mut last = from_y;
        for x in from_x..=to_x {
            let share = if to_x > from_x { (x - from_x) as f64 / (to_x - from_x) as f64 } else { 1.0 };
            let y = (from_y as f64 + (to_y as f64 - from_y as f64) * share).round() as usize;
            (last.min(y)..=last.max(y)).for_each(|y| self.set(x, y));
            last = y;
        }
    }

    fn set(&mut self, x: usize, y: usize) {
        const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        let cell = self.cells.get_mut(y / DOTS.1 * self.columns + x / DOTS.0);
        if let (Some(cell), Some(bit)) = (cell, BITS.get(y % DOTS.1).and_then(|row| row.get(x % DOTS.0))) {
            *cell |= bit;
        }
    }

    fn rows(&self, unicode: bool) -> impl Iterator<Item = String> {
        let shown = move |cell: &u8| match (*cell, unicode) {
            (0, _) => ' ',
            (_, false) => '*',
            (bits, true) => char::from_u32(0x2800 + u32::from(bits)).unwrap_or('*'),
        };
        self.cells.chunks(self.columns.max(1)).map(move |row| row.iter().map(shown).collect())
    }
}

/// Whether nothing is missing between two values.
fn is_next(before: Stamp, at: Stamp, step: Duration) -> bool {
    let apart = u128::from(at.0.0.saturating_sub(before.0.0).max(0).cast_unsigned());
    apart <= step.as_nanos().saturating_mul(3) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(points: &[(i64, f64)], (width, height): (usize, usize), unicode: bool) -> String {
        let points: Vec<_> = points.iter().map(|(at, value)| (Stamp::from_secs(*at), *value)).collect();
        let (start, end, step) = (Stamp::from_secs(0), Stamp::from_secs(40), Duration::from_secs(1));
        let lines = draw(&points, Frame { start, end, step, width, height, unicode });
        lines.iter().map(|line| line.paint(false) + "\n").collect()
    }

    #[test]
    fn a_line_rises_and_a_gap_is_blank() {
        let rising: Vec<(i64, f64)> =
            (0..=40).filter(|at| !(13..=27).contains(at)).map(|at| (at, at as f64)).collect();
        assert_eq!(
            shown(&rising, (25, 3), false),
            "\
40 |             *******
   |
 0 |*******
   +--------------------
    00:00:00    00:00:40
"
        );
        assert_eq!(
            shown(&rising, (45, 3), true),
            "\
40 ┤                           ⢀⣀⣀⣠⠤⠤⠤⠴⠒⠒⠒⠚⠉
   ┤
 0 ┤⣀⣀⡤⠤⠤⠤⠖⠒⠒⠒⠋⠉⠁
   └────────────────────────────────────────
    00:00:00        00:00:20        00:00:40
"
        );
    }

    #[test]
    fn one_value_stands_in_the_middle_and_none_is_said() {
        let flat: Vec<(i64, f64)> = (0..=40).map(|at| (at, 5.0)).collect();
        let text = shown(&flat, (25, 3), false);
        assert!(text.contains("\n5 |*********************\n"), "{text}");
        assert_eq!(shown(&[(1, f64::NAN)], (25, 3), true), "no values\n");
        let far = shown(&[(0, f64::MAX), (1, f64::MIN)], (30, 3), false);
        assert!(far.contains('*'), "{far}");
    }

    #[test]
    fn values_far_apart_are_not_joined() {
        let canvas = |step: i64| {
            let text = shown(&[(0, 0.0), (step, 1.0)], (25, 3), false);
            text.matches('*').count()
        };
        assert_eq!((canvas(1), canvas(2)), (3, 2), "steep within a column, and two dots");
    }

    #[test]
    fn days_are_named_where_hours_are_not_enough() {
        let label = times((Stamp::from_secs(0), Stamp::from_secs(4 * 86_400)), 60);
        assert_eq!(label.len(), 60);
        assert!(label.starts_with("01-01 00:00 ") && label.contains(" 01-03 00:00 "), "{label}");
        assert!(label.ends_with(" 01-05 00:00"), "{label}");
    }
}
