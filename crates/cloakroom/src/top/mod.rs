//! `cloakroom top`: calls under way, refusals and what waits for a human, as they come, at a terminal.

mod board;
mod feed;
mod line;
mod screen;

use crate::Outcome;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use board::{Board, Wish};
use feed::Feed;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use std::io::{IsTerminal, stdin, stdout};
use std::time::{Duration, Instant};

/// How often the journal and the broker are looked at.
const OFTEN: Duration = Duration::from_millis(500);

/// Shows it until somebody quits.
pub(crate) fn run(data: &DataDir, output: &Output) -> Outcome {
    if output.is_json() || !stdin().is_terminal() || !stdout().is_terminal() {
        return Err(Failure::bad_input("this is for people, at a terminal")
            .hinting("for programs: cloakroom journal export, and GET /metrics on the console listener"));
    }
    let mut feed = Feed::open(data)?;
    let mut board = Board::default();
    feed.read_on(&mut board)?;
    // From here on the screen is ours; it is given back whatever ends this.
    let mut terminal = ratatui::try_init()?;
    let ended = show(&mut terminal, &mut feed, &mut board);
    ratatui::restore();
    ended.map(|()| Exit::Done)
}

fn show(terminal: &mut ratatui::DefaultTerminal, feed: &mut Feed, board: &mut Board) -> Result<(), Failure> {
    let mut due = Instant::now() + OFTEN;
    loop {
        terminal.draw(|frame| screen::draw(frame, board))?;
        if event::poll(due.saturating_duration_since(Instant::now()))? {
            if let Event::Key(key) = event::read()?
                && key.kind != KeyEventKind::Release
                && board.press(key) == Wish::Quit
            {
                return Ok(());
            }
        } else {
            feed.read_on(board)?;
            due = Instant::now() + OFTEN;
        }
    }
}
