//! Texts side by side where the terminal is wide, one below the other where it is not.

const GAP: &str = "  |  ";
/// Narrower columns would break every header line.
const LEAST: usize = 36;
/// What `Tour::shown` puts in front of each line.
const INDENT: usize = 3;

pub(super) fn side_by_side(columns: &[(&str, &str)]) -> String {
    laid_out(columns, terminal_width())
}

fn terminal_width() -> usize {
    let asked =
        rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok().map(|size| usize::from(size.ws_col));
    asked.filter(|width| *width > 0).unwrap_or(80)
}

fn laid_out(columns: &[(&str, &str)], width: usize) -> String {
    let gaps = GAP.len() * columns.len().saturating_sub(1);
    let each = width.saturating_sub(INDENT + gaps) / columns.len().max(1);
    if each < LEAST {
        let stacked = columns.iter().map(|(title, text)| {
            let lines: Vec<String> = text.lines().map(|line| format!("  {line}")).collect();
            format!("--- {title}\n{}", lines.join("\n"))
        });
        return stacked.collect::<Vec<_>>().join("\n");
    }
    let wrapped: Vec<Vec<String>> = columns
        .iter()
        .map(|(title, text)| {
            let mut lines = vec![(*title).to_owned(), "-".repeat(title.len())];
            lines.extend(text.lines().flat_map(|line| wrap(line, each)));
            lines
        })
        .collect();
    let height = wrapped.iter().map(Vec::len).max().unwrap_or(0);
    let row = |index: usize| {
        let cells = wrapped.iter().map(|column| column.get(index).map_or("", String::as_str));
        cells.map(|cell| format!("{cell:<each$}")).collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    };
    (0..height).map(row).collect::<Vec<_>>().join("\n")
}

/// A line in pieces of at most `width` characters.
fn wrap(line: &str, width: usize) -> Vec<String> {
    let characters: Vec<char> = line.chars().collect();
    if characters.is_empty() {
        return vec![String::new()];
    }
    characters.chunks(width).map(|piece| piece.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_terminals_get_columns_and_narrow_ones_a_stack() {
        let columns = [("sent", "a\nb"), ("received", "c")];
        assert_eq!(laid_out(&columns, 40), "--- sent\n  a\n  b\n--- received\n  c");
        let wide = laid_out(&columns, 3 + 2 * 36 + 5);
        let lines: Vec<&str> = wide.lines().collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[2], format!("a{}  |  c", " ".repeat(35)));
        assert_eq!(lines[3], format!("b{}  |", " ".repeat(35)));
    }

    #[test]
    fn a_long_line_is_wrapped_and_loses_nothing() {
        assert_eq!(wrap("abcdefg", 3), ["abc", "def", "g"]);
        assert_eq!(wrap("", 3), [""]);
    }
}
