//! Tables for the terminal, with aligned columns, and the same as Markdown.

/// To which side a column's cells are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// Rows under a header. Short rows are filled with empty cells, long ones cut.
#[derive(Debug, Clone)]
pub struct Table {
    head: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of these columns; the first is set to the left, as it names
    /// the row, and the others, numbers, to the right.
    pub fn new<'a>(head: impl IntoIterator<Item = &'a str>) -> Self {
        let align = |i: usize| if i == 0 { Align::Left } else { Align::Right };
        let head = head.into_iter().enumerate().map(|(i, name)| (name.to_owned(), align(i)));
        Self { head: head.collect(), rows: Vec::new() }
    }

    /// The same with another side for one column.
    #[must_use]
    pub fn align(mut self, column: usize, align: Align) -> Self {
        if let Some(head) = self.head.get_mut(column) {
            head.1 = align;
        }
        self
    }

    /// Adds a row.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.resize(self.head.len(), String::new());
        self.rows.push(cells);
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// For the terminal: two spaces between columns, a rule under the header.
    pub fn text(&self) -> String {
        let widths = self.widths(|cell| cell.chars().count());
        let mut text = String::new();
        let line = |cells: &[&str], text: &mut String| {
            let padded: Vec<String> = (cells.iter().zip(&widths).zip(&self.head))
                .map(|((cell, width), (_, align))| pad(cell, *width, *align))
                .collect();
            text.push_str(padded.join("  ").trim_end());
            text.push('\n');
        };
        let head: Vec<&str> = self.head.iter().map(|(name, _)| name.as_str()).collect();
        line(&head, &mut text);
        text.push_str(&"─".repeat(widths.iter().sum::<usize>() + 2 * widths.len().max(1) - 2));
        text.push('\n');
        for row in &self.rows {
            line(&row.iter().map(String::as_str).collect::<Vec<_>>(), &mut text);
        }
        text
    }

    /// The rows alone, without header and rule.
    pub fn text_pairs(&self) -> String {
        let text = self.text();
        text.lines().skip(2).map(|line| format!("{line}\n")).collect()
    }

    pub fn head(&self) -> impl Iterator<Item = (&str, Align)> {
        self.head.iter().map(|(name, align)| (name.as_str(), *align))
    }

    pub fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// For documents, aligned in the source too.
    pub fn markdown(&self) -> String {
        let escape = |cell: &str| cell.replace('|', "\\|");
        let widths = self.widths(|cell| escape(cell).chars().count().max(3));
        let mut text = String::new();
        let line = |cells: Vec<String>, text: &mut String| {
            let padded: Vec<String> = (cells.iter().zip(&widths).zip(&self.head))
                .map(|((cell, width), (_, align))| pad(cell, *width, *align))
                .collect();
            text.push_str(&format!("| {} |\n", padded.join(" | ")));
        };
        line(self.head.iter().map(|(name, _)| escape(name)).collect(), &mut text);
        let rules = self.head.iter().zip(&widths).map(|((_, align), width)| match align {
            Align::Left => "-".repeat(*width),
            Align::Right => format!("{}:", "-".repeat(width - 1)),
        });
        line(rules.collect(), &mut text);
        for row in &self.rows {
            line(row.iter().map(|cell| escape(cell)).collect(), &mut text);
        }
        text
    }

    fn widths(&self, width: impl Fn(&str) -> usize) -> Vec<usize> {
        (0..self.head.len())
            .map(|column| {
                let cells = self.rows.iter().map(|row| width(&row[column]));
                cells.chain([width(&self.head[column].0)]).max().unwrap_or(0)
            })
            .collect()
    }
}

fn pad(cell: &str, width: usize, align: Align) -> String {
    match align {
        Align::Left => format!("{cell:<width$}"),
        Align::Right => format!("{cell:>width$}"),
    }
}

/// A number with three significant digits and more where it is large: 0.0123,
/// 1.23, 12.3, 123, 12345.
pub fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "-".to_owned(),
        0.0 => "0".to_owned(),
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.9995 => format!("{value:.2}"),
        size if size >= 0.09995 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(["what", "ms"]);
        table.row(["größte", "1234"]);
        table.row(["a|b", "5"]);
        table.row(["short"]);
        table
    }

    #[test]
    fn columns_stand_under_each_other() {
        assert_eq!(
            sample().text(),
            "what      ms\n────────────\ngrößte  1234\na|b        5\nshort\n"
        );
        assert_eq!(
            sample().markdown(),
            "| what   |   ms |\n| ------ | ---: |\n| größte | 1234 |\n| a\\|b   |    5 |\n| short  |      |\n"
        );
    }

    #[test]
    fn numbers_have_three_digits() {
        for (value, expected) in [
            (0.0, "0"),
            (0.01234, "0.0123"),
            (0.5, "0.500"),
            (1.0, "1.00"),
            (9.999, "10.0"),
            (99.96, "100"),
            (12345.6, "12346"),
            (-2.5, "-2.50"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(number(value), expected);
        }
    }
}
