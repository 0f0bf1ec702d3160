//! A moment as a picture: arrivals, the line and admissions second by second, and the figures below.

use evidence::{Micros, Progress};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{LineGauge, Paragraph, Sparkline};
use verdict::report::text::{clock, figure, grouped, number};

use super::frame::LiveFrame;

/// Lines that the picture takes: a title, three curves, two lines of figures, and one for the cursor.
pub(super) const HEIGHT: u16 = 15;

/// Width of the names of curves.
const NAMES: u16 = 22;

/// Draws it, and puts the cursor below it.
pub(super) fn draw(frame: &mut Frame<'_>, scene: &LiveFrame<'_>) {
    let [head, arrivals, waiting, entered, figures, gateway, below] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(3),
        Constraint::Length(3),
        Constraint::Length(3),
        Constraint::Length(2),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    title(frame, head, scene);
    let rate = |of: fn(&Progress) -> u64| per_second(scene, of);
    curve(
        frame,
        arrivals,
        &Curve { name: "arrivals", unit: " a second", colour: Color::Blue, values: rate(|at| at.arrived) },
    );
    curve(
        frame,
        waiting,
        &Curve { name: "waiting", unit: "", colour: Color::Magenta, values: levels(scene, |at| at.waiting) },
    );
    let unit = format!(" of {} a second", number(scene.rate));
    curve(frame, entered, &Curve { name: "let in", unit: &unit, colour: Color::Green, values: rate(|at| at.entered) });
    frame.render_widget(Paragraph::new(counts(scene)), figures);
    frame.render_widget(Paragraph::new(told(scene)), gateway);
    frame.set_cursor_position(Position::new(below.x, below.y));
}

fn title(frame: &mut Frame<'_>, area: Rect, scene: &LiveFrame<'_>) {
    let elapsed = seconds(scene.now.elapsed);
    let length = scene.length.as_secs_f64();
    let label = format!("{}  {} of {}", scene.title, clock(elapsed), clock(length));
    let done = if length > 0.0 { (elapsed / length).clamp(0.0, 1.0) } else { 1.0 };
    let gauge = LineGauge::default().ratio(done).label(label.bold()).filled_symbol("━").unfilled_symbol("─");
    let gauge = gauge.filled_style(Style::new().fg(Color::Cyan)).unfilled_style(Style::new().dim());
    frame.render_widget(gauge, Rect { height: 1, ..area });
}

/// A figure over time.
struct Curve<'a> {
    name: &'a str,
    unit: &'a str,
    colour: Color,
    values: Vec<u64>,
}

fn curve(frame: &mut Frame<'_>, area: Rect, curve: &Curve<'_>) {
    let [name, bars] = Layout::horizontal([Constraint::Length(NAMES), Constraint::Min(0)]).areas(area);
    let bars = Rect { height: bars.height.min(2), ..bars };
    let last = curve.values.last().copied().unwrap_or(0);
    let words = vec![Line::from(curve.name), Line::from(format!("{}{}", grouped(last), curve.unit)).bold()];
    frame.render_widget(Paragraph::new(words).style(Style::new().fg(curve.colour)), name);
    let shown = &curve.values[curve.values.len().saturating_sub(usize::from(bars.width))..];
    frame.render_widget(Sparkline::default().data(shown).style(Style::new().fg(curve.colour)), bars);
}

/// A count's growth per second, from moment to moment. So short a time as half a second tells nothing yet.
fn per_second(scene: &LiveFrame<'_>, of: fn(&Progress) -> u64) -> Vec<u64> {
    let moments: Vec<&Progress> = scene.history.iter().chain([scene.now]).collect();
    let grown = |pair: &[&Progress]| {
        let time = seconds(pair[1].elapsed - pair[0].elapsed);
        let more = of(pair[1]).saturating_sub(of(pair[0])) as f64;
        (time >= 0.5).then(|| (more / time).round() as u64)
    };
    moments.windows(2).filter_map(grown).collect()
}

fn levels(scene: &LiveFrame<'_>, of: fn(&Progress) -> u64) -> Vec<u64> {
    scene.history.iter().chain([scene.now]).map(of).collect()
}

fn counts(scene: &LiveFrame<'_>) -> Vec<Line<'static>> {
    let now = scene.now;
    let failed = if now.failed > 0 { Style::new().fg(Color::Red).bold() } else { Style::new() };
    let ms = |micros: Micros| figure(micros as f64 / 1000.0, "ms");
    let mut people = named("arrived", &grouped(now.arrived));
    people.extend(named("inside", &grouped(now.inside)));
    people.extend(named("let in", &grouped(now.entered)));
    people.extend(named("orders", &grouped(now.bought)));
    people.extend(named("gone", &grouped(now.ended)));
    let mut requests = named("requests", &grouped(now.requests));
    requests.extend([Span::raw("failed "), Span::styled(format!("{:<10}", grouped(now.failed)), failed)]);
    requests.extend(named("page p99", &ms(now.inside_p99)));
    requests.extend(named("lag p99", &ms(now.lag_p99)));
    vec![Line::from(people), Line::from(requests)]
}

/// A figure with its name, as wide as its neighbours above and below.
fn named(name: &'static str, value: &str) -> Vec<Span<'static>> {
    vec![Span::raw(name), Span::raw(" "), Span::raw(format!("{value:<10}")).bold()]
}

/// The gateway's figures of its room.
fn told(scene: &LiveFrame<'_>) -> Line<'static> {
    let Some(sample) = scene.gateway else { return Line::default() };
    let mut words = vec![Span::raw("gateway: ")];
    words.extend(named("admitted", &grouped(sample.admitted)));
    words.extend(named("waiting", &grouped(sample.waiting)));
    words.extend(named("passes", &grouped(sample.active_users)));
    if sample.store_away {
        words.push("store away".fg(Color::Yellow).bold());
    }
    Line::from(words)
}

fn seconds(micros: Micros) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use evidence::GatewaySample;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn moments() -> Vec<Progress> {
        (0..)
            .zip(0..60_u64)
            .map(|(elapsed, second): (Micros, u64)| Progress {
                elapsed: elapsed * 1_000_000,
                arrived: if second < 20 { second * 8 } else { 160 + (second - 20) * 160 },
                waiting: second.saturating_sub(20) * 130,
                inside: 40,
                entered: second * 20,
                bought: second * 19,
                order_failed: 0,
                ended: second * 25,
                requests: second * 900,
                failed: second / 50,
                inside_p99: 431_000,
                lag_p99: 400,
            })
            .collect()
    }

    fn drawn(width: u16, height: u16) -> Terminal<TestBackend> {
        let moments = moments();
        let (now, history) = moments.split_last().unwrap();
        let gateway = GatewaySample {
            at: 0,
            gateway: 0,
            store_time_ms: 0,
            admitted: 1_180,
            waiting: 5_070,
            active_users: 310,
            new_users_per_minute: 1_200.0,
            store_away: true,
            limits_given_up: false,
        };
        let length = Duration::from_secs(150);
        let scene = LiveFrame { title: "nike-launch", length, rate: 20.0, now, history, gateway: Some(&gateway) };
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, &scene)).unwrap();
        terminal
    }

    #[test]
    fn a_moment_is_a_picture() {
        insta::assert_snapshot!(drawn(90, HEIGHT).backend());
    }

    #[test]
    fn the_cursor_stays_below_the_picture_for_whatever_comes_then() {
        let mut terminal = drawn(90, HEIGHT);
        assert_eq!(terminal.get_cursor_position().unwrap(), Position::new(0, HEIGHT - 1));
    }

    #[test]
    fn a_small_terminal_shows_what_it_can() {
        for (width, height) in [(1, 1), (20, 5), (30, 40)] {
            drawn(width, height);
        }
    }

    #[test]
    fn a_moment_is_a_line() {
        let moments = moments();
        let scene = LiveFrame {
            title: "nike-launch",
            length: Duration::from_secs(150),
            rate: 20.0,
            now: &moments[55],
            history: &moments[..55],
            gateway: None,
        };
        assert_eq!(
            super::super::line::of(&scene),
            " 0:55  arrived 5,760  waiting 4,550  inside 40  let in 1,100  orders 1,045  failed 1  page p99 431 ms  lag p99 0.40 ms"
        );
    }
}
