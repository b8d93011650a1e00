//! Tables of figures with a row for each run: as plain text, CSV, Markdown or LaTeX.

use vae_view::Better;

use super::text::columns;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Columns of even width; the best of a column has a star.
    Plain,
    /// Numbers with all their digits; the best is not marked.
    Csv,
    /// A table of Markdown; the best is bold.
    Markdown,
    /// A table of LaTeX with the rules of booktabs; the best is bold.
    Latex,
}

/// What stands behind the +- of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// A standard error.
    StandardError,
    /// Half the width of a 95 % confidence interval.
    Interval,
}

/// A figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The number.
    pub value: f64,
    /// The number for people.
    pub text: String,
    /// What stands behind +-.
    pub plus_minus: Option<(Spread, f64)>,
}

/// A table.
#[derive(Clone, Debug)]
pub struct Grid {
    key: String,
    names: Vec<String>,
    columns: Vec<Column>,
}

#[derive(Clone, Debug)]
struct Column {
    name: String,
    cells: Vec<Option<Cell>>,
    /// Indices of the best.
    best: Vec<usize>,
}

impl Grid {
    /// Starts a table with the names of its rows; `key` is the head of their column.
    pub fn new(key: &str, names: Vec<String>) -> Self {
        Self { key: key.to_owned(), names, columns: Vec::new() }
    }

    /// Adds a column with a cell for each row, unless all are empty.
    pub fn column(&mut self, name: &str, better: Better, cells: Vec<Option<Cell>>) {
        if cells.iter().all(Option::is_none) {
            return;
        }
        let values = || cells.iter().flatten().map(|cell| cell.value).filter(|v| !v.is_nan());
        let best = match better {
            Better::Lower => values().reduce(f64::min),
            Better::Higher => values().reduce(f64::max),
            Better::Neither => None,
        };
        let is_best = |cell: &Option<Cell>| cell.as_ref().map(|cell| cell.value) == best;
        let best = match best {
            Some(_) => (0..cells.len()).filter(|i| is_best(&cells[*i])).collect(),
            None => Vec::new(),
        };
        self.columns.push(Column { name: name.to_owned(), cells, best });
    }

    /// Returns the table as text, without a line feed at its end.
    pub fn text(&self, style: Style) -> String {
        if style == Style::Csv {
            return self.csv();
        }
        let cell = |column: &Column, row: usize| -> String {
            let Some(cell) = &column.cells[row] else { return "-".to_owned() };
            let text = match cell.plus_minus {
                Some((_, half)) => {
                    // As many digits as the number has.
                    let digits = cell.text.split_once('.').map_or(0, |(_, digits)| digits.len());
                    format!("{} \u{b1} {half:.digits$}", cell.text)
                }
                None => cell.text.clone(),
            };
            let text = if style == Style::Latex { latex(&text) } else { text };
            match style {
                _ if !column.best.contains(&row) => text,
                Style::Markdown => format!("**{text}**"),
                Style::Latex => format!("\\textbf{{{text}}}"),
                Style::Plain | Style::Csv => format!("{text} *"),
            }
        };
        let name = |text: &String| match style {
            Style::Latex => latex(text),
            Style::Markdown => text.replace('|', "\\|"),
            Style::Csv | Style::Plain => text.clone(),
        };
        let head = [&self.key].into_iter().chain(self.columns.iter().map(|column| &column.name));
        let mut rows: Vec<Vec<String>> = vec![head.map(name).collect()];
        for (row, run) in self.names.iter().enumerate() {
            let cells = self.columns.iter().map(|column| cell(column, row));
            rows.push([name(run)].into_iter().chain(cells).collect());
        }
        match style {
            Style::Plain | Style::Csv => columns(&rows),
            Style::Markdown => {
                let mut lines: Vec<String> =
                    rows.iter().map(|row| format!("| {} |", row.join(" | "))).collect();
                lines.insert(1, format!("|---|{}", "---:|".repeat(self.columns.len())));
                lines.join("\n")
            }
            Style::Latex => {
                let mut lines: Vec<String> =
                    rows.iter().map(|row| format!("{} \\\\", row.join(" & "))).collect();
                lines.insert(1, "\\midrule".to_owned());
                format!(
                    "\\begin{{tabular}}{{l{}}}\n\\toprule\n{}\n\\bottomrule\n\\end{{tabular}}",
                    "r".repeat(self.columns.len()),
                    lines.join("\n")
                )
            }
        }
    }
}

impl Grid {
    /// Returns the numbers with all their digits. What stands behind +- has a column of its own.
    fn csv(&self) -> String {
        let spread = |column: &Column| -> Option<&'static str> {
            let mut found = column.cells.iter().flatten().filter_map(|cell| cell.plus_minus);
            Some(match found.next()? {
                (Spread::StandardError, _) => "stderr",
                (Spread::Interval, _) => "interval",
            })
        };
        let mut head = vec![self.key.clone()];
        for column in &self.columns {
            head.push(column.name.clone());
            head.extend(spread(column).map(|spread| format!("{} {spread}", column.name)));
        }
        let number = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
        let row = |(row, name): (usize, &String)| {
            let mut cells = vec![name.clone()];
            for column in &self.columns {
                let cell = column.cells[row].as_ref();
                cells.push(number(cell.map(|cell| cell.value)));
                let error = |_| number(cell.and_then(|cell| cell.plus_minus).map(|(_, half)| half));
                cells.extend(spread(column).map(error));
            }
            cells
        };
        let rows = self.names.iter().enumerate().map(row);
        let mut writer = csv::Writer::from_writer(Vec::new());
        let written = [head].into_iter().chain(rows).try_for_each(|row| writer.write_record(row));
        let text = written.ok().and_then(|()| writer.into_inner().ok());
        let Some(text) = text.and_then(|text| String::from_utf8(text).ok()) else {
            unreachable!("rows of the same length are written into memory")
        };
        text.trim_end().to_owned()
    }
}

/// Returns text that LaTeX prints as it is.
fn latex(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '\u{b1}' => escaped.push_str("$\\pm$"),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                escaped.push('\\');
                escaped.push(c);
            }
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let cell = |value: f64, text: &str, error: Option<f64>| {
            let plus_minus = error.map(|error| (Spread::StandardError, error));
            Some(Cell { value, text: text.to_owned(), plus_minus })
        };
        let mut grid = Grid::new("run", vec!["runs/a_1".to_owned(), "b,c".to_owned()]);
        let nll = vec![cell(88.25, "88.25", Some(0.125)), cell(87.125, "87.12", Some(0.1))];
        grid.column("nll", Better::Lower, nll);
        grid.column("accuracy", Better::Higher, vec![cell(0.9, "90 %", None), None]);
        grid.column("kl", Better::Neither, vec![cell(1.0, "1", None), cell(2.0, "2", None)]);
        grid.column("missing", Better::Lower, vec![None, None]);
        grid
    }

    #[test]
    fn the_best_of_a_column_is_marked_and_empty_columns_are_left_out() {
        assert_eq!(
            grid().text(Style::Plain),
            "run       nll             accuracy  kl\n\
             runs/a_1  88.25 \u{b1} 0.12    90 % *    1\n\
             b,c       87.12 \u{b1} 0.10 *  -         2"
        );
    }

    #[test]
    fn other_programs_read_the_table() {
        assert_eq!(
            grid().text(Style::Csv),
            "run,nll,nll stderr,accuracy,kl\nruns/a_1,88.25,0.125,0.9,1\n\"b,c\",87.125,0.1,,2"
        );
        assert_eq!(
            grid().text(Style::Markdown),
            "| run | nll | accuracy | kl |\n|---|---:|---:|---:|\n\
             | runs/a_1 | 88.25 \u{b1} 0.12 | **90 %** | 1 |\n\
             | b,c | **87.12 \u{b1} 0.10** | - | 2 |"
        );
        assert_eq!(
            grid().text(Style::Latex),
            "\\begin{tabular}{lrrr}\n\\toprule\nrun & nll & accuracy & kl \\\\\n\\midrule\n\
             runs/a\\_1 & 88.25 $\\pm$ 0.12 & \\textbf{90 \\%} & 1 \\\\\n\
             b,c & \\textbf{87.12 $\\pm$ 0.10} & - & 2 \\\\\n\\bottomrule\n\\end{tabular}"
        );
    }
}
