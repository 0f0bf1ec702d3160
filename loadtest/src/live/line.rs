//! A moment as a line of text.

use verdict::report::text::{clock, figure, grouped};

use super::frame::LiveFrame;

/// `0:35  arrived 3,204  waiting 1,480  inside 142  let in 310  orders 290  failed 0  page p99 731 ms  lag p99 0.40 ms`
pub(super) fn of(scene: &LiveFrame<'_>) -> String {
    let now = scene.now;
    let ms = |micros: i64| figure(micros as f64 / 1000.0, "ms");
    format!(
        "{:>5}  arrived {}  waiting {}  inside {}  let in {}  orders {}  failed {}  page p99 {}  lag p99 {}",
        clock(now.elapsed as f64 / 1e6),
        grouped(now.arrived),
        grouped(now.waiting),
        grouped(now.inside),
        grouped(now.entered),
        grouped(now.bought),
        grouped(now.failed),
        ms(now.inside_p99),
        ms(now.lag_p99),
    )
}
