//! Arguments of `loadtest calibrate`.

use clap::Args;
use launch_model::span::Span;

#[derive(Args)]
pub(crate) struct Calibrate {
    /// Length of a step
    #[arg(long, default_value = "3s")]
    pub(crate) step: Span,
    /// Requests per second of the first step
    #[arg(long, default_value_t = 250.0)]
    pub(crate) from: f64,
}
