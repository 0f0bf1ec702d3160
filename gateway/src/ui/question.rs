//! What shoppers would ask a help desk.

/// A question that shoppers have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Question {
    /// Whether the place can be lost.
    Place,
    /// Whether the page may be closed.
    Close,
    /// How long it takes.
    Wait,
    /// How much is left.
    Stock,
    /// Why the line stands.
    Stop,
}

impl Question {
    /// Every question; `ALL[question as usize]` is the question.
    pub const ALL: [Self; 5] = [Self::Place, Self::Close, Self::Wait, Self::Stock, Self::Stop];

    /// Its name in addresses and metrics.
    pub fn name(self) -> &'static str {
        QUESTIONS[self as usize]
    }

    /// The question of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|question| question.name() == name)
    }
}

/// Names of [`Question`], in its order.
pub const QUESTIONS: [&str; Question::ALL.len()] = ["place", "close", "wait", "stock", "stop"];
