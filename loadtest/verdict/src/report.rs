//! The report of a run, for people and programs: one value, written as `report.json` and drawn as one HTML file.
//!
//! A report holds everything that its pictures show, so that it can be drawn again ([`html`]), and compared with
//! another ([`compare`]). [`Report::of`] makes it from the evidence, and [`Report::save`] and [`Report::load`] keep it.
//!
//! Out of scope: judgement. Every check and its outcome comes from [`crate::judge`].

mod chart;
mod charts;
pub mod compare;
mod data;
mod file;
pub mod html;
mod make;
pub mod text;

pub use data::{Attack, Failure, Generator, Moment, Purchases, Report, Run, Step};
pub use file::{FORMAT, NotSaved, Unreadable, schema};
pub use make::Facts;
pub use text::figure;
