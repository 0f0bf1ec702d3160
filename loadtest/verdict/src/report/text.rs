//! How figures are written for people.

/// A count with its thousands apart: `12,345`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The digits that matter: `0.031`, `4.71`, `35.8`, `358`, `12,345`.
pub fn number(value: f64) -> String {
    let size = value.abs();
    match () {
        () if !value.is_finite() => "-".into(),
        () if size >= 100.0 || value.fract() == 0.0 => {
            let sign = if value < 0.0 { "-" } else { "" };
            format!("{sign}{}", grouped(size.round() as u64))
        }
        () if size >= 10.0 => format!("{value:.1}"),
        () if size >= 0.1 => format!("{value:.2}"),
        () => format!("{value:.3}"),
    }
}

/// A value with its unit, in the size that people say it: a share as percent, long times in seconds.
pub fn figure(value: f64, unit: &str) -> String {
    match unit {
        "share" => format!("{} %", (value * 10_000.0).round() / 100.0),
        "tau" => format!("{}", (value * 10_000.0).round() / 10_000.0),
        "s" if value.abs() < 1.0 => figure(value * 1000.0, "ms"),
        "ms" if value.abs() >= 1000.0 => format!("{} s", number(value / 1000.0)),
        "" => number(value),
        unit => format!("{} {unit}", number(value)),
    }
}

/// Seconds since the start as a clock shows them: `1:05`, `1:00:00`.
pub fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A length of time as people say it: `850 ms`, `12 s`, `2 min 5 s`.
pub fn length(seconds: f64) -> String {
    match () {
        () if seconds < 1.0 => format!("{:.0} ms", seconds * 1000.0),
        () if seconds < 120.0 => format!("{} s", number((seconds * 10.0).round() / 10.0)),
        () => {
            let whole = seconds.round() as u64;
            match whole % 60 {
                0 => format!("{} min", whole / 60),
                rest => format!("{} min {rest} s", whole / 60),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_matter() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0.0, 3.0, 0.031_24, 4.71, 35.82, 358.4, 12_345.6].map(number),
            ["0", "3", "0.031", "4.71", "35.8", "358", "12,346"]
        );
        assert_eq!(number(-1234.5), "-1,235");
        assert_eq!(number(f64::NAN), "-");
        assert_eq!(figure(0.999_73, "share"), "99.97 %");
        assert_eq!(figure(1.0, "share"), "100 %");
        assert_eq!(figure(0.999_64, "tau"), "0.9996");
        assert_eq!(figure(0.25, "s"), "250 ms");
        assert_eq!(figure(2_700.0, "ms"), "2.70 s");
        assert_eq!(figure(358.2, "ms"), "358 ms");
    }

    #[test]
    fn times_read_as_people_say_them() {
        assert_eq!([0.0, 65.4, 3600.0].map(clock), ["0:00", "1:05", "1:00:00"]);
        assert_eq!([0.85, 12.0, 119.04, 125.0, 600.0].map(length), ["850 ms", "12 s", "119 s", "2 min 5 s", "10 min"]);
    }
}
