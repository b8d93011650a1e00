//! Text for people: columns of even width, words of commands, and counts with commas.

use std::borrow::Cow;
use std::path::Path;

/// Joins the cells of `rows` to columns of even width, two spaces apart. Cells are aligned left;
/// callers pad numbers.
pub fn columns(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| {
        rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, w)| format!("{cell:<w$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Returns a path as a word of a command for a shell, in quotes if it needs them.
pub fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    // No file has a NUL in its name, which no quotes could hold.
    shlex::try_quote(&path).map(Cow::into_owned).unwrap_or(path)
}

/// Writes a count with a comma between thousands.
pub fn with_commas(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_command() {
        assert_eq!(quoted(Path::new("runs/flat-2")), "runs/flat-2");
        assert_eq!(quoted(Path::new("my runs/it's")), "\"my runs/it's\"");
        assert_eq!(quoted(Path::new("$HOME")), "'$HOME'");
    }

    #[test]
    fn counts_have_a_comma_every_three_digits() {
        assert_eq!(with_commas(7), "7");
        assert_eq!(with_commas(1_000), "1,000");
        assert_eq!(with_commas(60_000), "60,000");
        assert_eq!(with_commas(1_234_567), "1,234,567");
    }

    #[test]
    fn columns_line_up_and_lines_have_no_trailing_spaces() {
        let rows = [vec!["a".to_owned(), "bb".to_owned()], vec!["ccc".to_owned(), "d".to_owned()]];
        assert_eq!(columns(&rows), "a    bb\nccc  d");
    }
}
