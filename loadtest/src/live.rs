//! The live view of a run: a picture on a terminal, else a line every few seconds.
//!
//! The picture fills the last lines of the terminal and stays there when the run is over. It changes nothing of the terminal
//! that must be restored (no raw mode, no other screen, the cursor stays visible and below the picture),
//! so however the program ends, the terminal is as it was.
//!
//! Out of scope: a clock, and the counting. The caller brings [`Progress`] when it is time.

mod frame;
mod line;
mod picture;

use std::io::{IsTerminal, Stdout, stdout};
use std::time::Duration;

use evidence::{GatewaySample, Micros, Progress};
use ratatui::backend::CrosstermBackend;
use ratatui::{Terminal, TerminalOptions, Viewport};

use frame::LiveFrame;

/// Time between two lines where there is no terminal.
const BETWEEN_LINES: Micros = 5_000_000;

/// The view of one run.
#[derive(Debug)]
pub struct Live {
    title: String,
    length: Duration,
    rate: f64,
    screen: Option<Terminal<CrosstermBackend<Stdout>>>,
    next_line: Micros,
}

impl Live {
    /// For a run of about `length`, in a room of `rate` new shoppers per second.
    pub fn open(title: &str, length: Duration, rate: f64) -> Self {
        Self { title: title.to_owned(), length, rate, screen: screen(), next_line: 0 }
    }

    /// Shows a moment. `history` holds the moments before it, about one for each second, oldest first.
    pub fn update(&mut self, now: &Progress, history: &[Progress], gateway: Option<&GatewaySample>) {
        let scene = LiveFrame { title: &self.title, length: self.length, rate: self.rate, now, history, gateway };
        if let Some(screen) = &mut self.screen {
            match screen.draw(|frame| picture::draw(frame, &scene)) {
                Ok(_) => return,
                Err(_) => self.screen = None,
            }
        }
        if now.elapsed >= self.next_line {
            eprintln!("{}", line::of(&scene));
            self.next_line = now.elapsed + BETWEEN_LINES;
        }
    }

    /// Leaves the last moment where it is, and puts the cursor below it.
    pub fn close(self) {
        if self.screen.is_some() {
            println!();
        }
    }
}

/// The place of the picture; `None` where there is no terminal that can show it.
fn screen() -> Option<Terminal<CrosstermBackend<Stdout>>> {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    if dumb || !stdout().is_terminal() {
        return None;
    }
    let options = TerminalOptions { viewport: Viewport::Inline(picture::HEIGHT) };
    Terminal::with_options(CrosstermBackend::new(stdout()), options).ok()
}
