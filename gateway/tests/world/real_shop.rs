//! A shop that we did not write, with everything that a shopper does there: django-oscar behind Weir, nginx in front in one of
//! the ways, Chromium before it. `make real-shop` installs it and runs this; where it is not installed, these tests fail.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod forms;
mod journey;
mod load;
mod tabs;
mod testbed;
