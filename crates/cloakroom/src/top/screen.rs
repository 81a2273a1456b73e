//! The board as it is drawn: a line of state, the table that is looked at, a line of keys.

use super::board::{Board, Table as Looked, age};
use cloakroom_model::Timestamp;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

const KEYS: &str = "q quit  Tab 1 2 3 table  s order  / filter  Esc all  Up Down";

pub(super) fn draw(frame: &mut Frame<'_>, board: &Board) {
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
    ])
    .split(frame.area());
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let (calls, refusals) = board.seen;
    let state = format!("cloakroom  {}  {calls} calls, {refusals} refusals on record since", board.state);
    frame.render_widget(Paragraph::new(state), areas[0]);
    frame.render_widget(Paragraph::new(tabs(board)).style(bold), areas[1]);
    frame.render_widget(table(board, Timestamp::now()), areas[2]);
    frame.render_widget(Paragraph::new(foot(board)), areas[3]);
}

/// The tables with their counts; the one that is looked at stands in brackets, so that it is seen without colour.
fn tabs(board: &Board) -> String {
    let named = |table: Looked| {
        let name = match table {
            Looked::Calls => "1 under way",
            Looked::Refusals => "2 refused",
            Looked::Waiting => "3 waiting for a human",
        };
        let text = format!("{name}: {}", board.count(table));
        if table == board.table { format!("[{text}]") } else { format!(" {text} ") }
    };
    Looked::ALL.map(named).join("  ")
}

fn table(board: &Board, now: Timestamp) -> Table<'static> {
    let headings = match board.table {
        Looked::Calls => ["AGE", "WORKLOAD", "CALL", "DESTINATION", "REQUEST"],
        Looked::Refusals => ["AGE", "WORKLOAD", "CODE", "DESTINATION", "REQUEST"],
        Looked::Waiting => ["AGE", "WORKLOAD", "WHAT", "CREDENTIAL", "ID"],
    };
    let rows = board.lines().into_iter().skip(board.above).map(|line| {
        let cells = [
            age(line.at, now),
            line.workload.clone(),
            line.what.clone(),
            line.about.clone(),
            line.id.clone(),
        ];
        Row::new(cells.map(Cell::from))
    });
    let rows: Vec<Row<'_>> = rows.take(200).collect();
    let widths = [
        Constraint::Length(5),
        Constraint::Length(16),
        Constraint::Fill(2),
        Constraint::Fill(1),
        Constraint::Length(29),
    ];
    let heading = Row::new(headings.map(Cell::from)).style(Style::new().add_modifier(Modifier::BOLD));
    Table::new(rows, widths).header(heading)
}

fn foot(board: &Board) -> String {
    if board.typing {
        return format!("filter: {}_   Enter keep  Esc all", board.filter);
    }
    let filter = if board.filter.is_empty() { String::new() } else { format!("  filter: {}", board.filter) };
    format!("{KEYS}  order: {}{filter}", board.order.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::board::Wish;
    use super::super::line::Line;
    use super::*;
    use cloakroom_model::{Code, Intent, RequestId, Way, WorkloadId};
    use cloakroom_store::journal::{Entry, Record};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    fn drawn(board: &Board) -> String {
        let mut terminal = Terminal::new(TestBackend::new(110, 8)).unwrap();
        terminal.draw(|frame| draw(frame, board)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let rows = buffer.content().chunks(usize::from(buffer.area.width));
        rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>() + "\n").collect()
    }

    fn record(entry: Entry) -> Record {
        Record { sequence: 1, segment: String::new(), offset: 0, entry }
    }

    fn request(number: u8) -> RequestId {
        RequestId::new(Timestamp::from_millis(u64::from(number)), [number; 10])
    }

    fn intent(number: u8, path: &str) -> Record {
        record(Entry::Intent(Intent {
            request: request(number),
            at: Timestamp::from_millis(u64::from(number)),
            workload: WorkloadId::new(Timestamp::from_millis(1), [1; 10]),
            peer: None,
            way: Way::Connect,
            destination: "https://api.example.com".parse().unwrap(),
            method: "GET".into(),
            path: path.into(),
            uses: Vec::new(),
            repeats: None,
        }))
    }

    fn board() -> Board {
        let mut board = Board::default();
        board.state = "ready".into();
        let robot = WorkloadId::new(Timestamp::from_millis(1), [1; 10]);
        board.names.insert(robot.to_string(), "robot".into());
        [intent(1, "/first"), intent(2, "/second"), intent(3, "/third")]
            .iter()
            .for_each(|one| board.take(one));
        board
    }

    fn press(board: &mut Board, keys: &str) -> Wish {
        keys.chars().fold(Wish::GoOn, |_, letter| {
            let code = match letter {
                '\t' => KeyCode::Tab,
                '\n' => KeyCode::Enter,
                '\u{1b}' => KeyCode::Esc,
                letter => KeyCode::Char(letter),
            };
            board.press(KeyEvent::new(code, KeyModifiers::NONE))
        })
    }

    /// In which order these stand on the screen.
    fn order(text: &str, words: &[&str]) -> Vec<usize> {
        let mut places: Vec<_> =
            words.iter().enumerate().map(|(at, word)| (text.find(word).unwrap(), at)).collect();
        places.sort_unstable();
        places.into_iter().map(|(_, at)| at).collect()
    }

    #[test]
    fn calls_under_way_are_seen_until_they_end_and_failures_are_among_the_refused() {
        let mut board = board();
        let text = drawn(&board);
        assert!(
            text.contains("[1 under way: 3]") && text.contains("GET /second") && text.contains("robot"),
            "{text}"
        );
        let at = Timestamp::from_millis(9);
        board.take(&record(Entry::Outcome {
            request: request(2),
            at,
            status: 200,
            bytes: 1,
            replaced: 0,
            complete: true,
        }));
        board.take(&record(Entry::Failure { request: request(3), at, code: Code::UpstreamTimeout }));
        let text = drawn(&board);
        assert!(
            text.contains("GET /first") && !text.contains("GET /second") && !text.contains("GET /third"),
            "{text}"
        );
        press(&mut board, "2");
        let text = drawn(&board);
        assert!(
            text.contains("[2 refused: 1]") && text.contains("upstream-timeout") && text.contains("robot"),
            "{text}"
        );
        board.take(&record(Entry::Start { at, version: "1".into() }));
        assert_eq!(board.count(Looked::Calls), 0, "a start ends what was under way");
    }

    #[test]
    fn lines_are_ordered_filtered_and_left() {
        let mut board = board();
        let all = ["/first", "/second", "/third"];
        assert_eq!(order(&drawn(&board), &all), [2, 1, 0], "the newest first");
        press(&mut board, "s");
        assert_eq!(order(&drawn(&board), &all), [0, 1, 2], "the oldest first");
        press(&mut board, "/SECO\n");
        let text = drawn(&board);
        assert!(
            text.contains("/second") && !text.contains("/first") && text.contains("filter: SECO"),
            "{text}"
        );
        press(&mut board, "\u{1b}");
        assert!(drawn(&board).contains("/first"));
        press(&mut board, "/q");
        assert!(drawn(&board).contains("filter: q_"), "a letter of the filter is no command");
        press(&mut board, "\u{1b}");
        assert_eq!(press(&mut board, "q"), Wish::Quit);
        assert_eq!(board.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Wish::Quit);
    }

    #[test]
    fn what_waits_for_a_human_is_seen_with_its_id() {
        let mut board = board();
        board.waiting.push(Line {
            at: Timestamp::now(),
            workload: "robot".into(),
            what: "call".into(),
            about: "stripe-live".into(),
            id: "ap_01HF7YAT00QTXS9F8T1S4ZKZ8M".into(),
        });
        press(&mut board, "\t\t");
        let text = drawn(&board);
        assert!(
            text.contains("[3 waiting for a human: 1]") && text.contains("ap_01HF7YAT00QTXS9F8T1S4ZKZ8M"),
            "{text}"
        );
    }

    #[test]
    fn t89_a_path_cannot_move_the_cursor() {
        let mut board = board();
        board.take(&intent(4, "/\u{1b}[2J\u{202e}x"));
        assert!(drawn(&board).contains("GET /?[2J?x"));
    }
}
