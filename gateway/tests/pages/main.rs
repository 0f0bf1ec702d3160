//! The side that people see: every page and answer, in a browser and among other sites.

mod brand;
mod browser;
#[path = "../common/mod.rs"]
mod common;
mod events;
mod gate;
mod live;
mod sites;
mod stay;
mod ui;
