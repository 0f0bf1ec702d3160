//! Real numbers in JSON: a whole one is written as one, 5 and not 5.0, so that a program that reads integers can read it.

use serde::Serializer;

/// Above this not every whole number has a double of its own.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Writes a number; one that JSON cannot carry is null.
///
/// # Errors
/// Those of the serializer.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
pub(crate) fn real<S: Serializer>(number: &f64, to: S) -> Result<S::Ok, S::Error> {
    if number.fract() == 0.0 && number.abs() < EXACT {
        to.serialize_i64(*number as i64)
    } else {
        to.serialize_f64(*number)
    }
}

/// The same for one that may be absent.
///
/// # Errors
/// Those of the serializer.
#[expect(clippy::ref_option, reason = "as serde calls it")]
pub(crate) fn maybe_real<S: Serializer>(number: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
    match number {
        Some(number) => real(number, to),
        None => to.serialize_none(),
    }
}

/// Writes a measured number to three places after the point: what is more is noise, and long.
///
/// # Errors
/// Those of the serializer.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
pub(crate) fn measured<S: Serializer>(number: &f32, to: S) -> Result<S::Ok, S::Error> {
    real(&((f64::from(*number) * 1000.0).round() / 1000.0), to)
}

/// The same for one that may be absent.
///
/// # Errors
/// Those of the serializer.
#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
pub(crate) fn maybe_measured<S: Serializer>(number: &Option<f32>, to: S) -> Result<S::Ok, S::Error> {
    match number {
        Some(number) => measured(number, to),
        None => to.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    #[derive(Serialize)]
    struct Number(#[serde(serialize_with = "super::real")] f64);

    #[test]
    fn whole_numbers_have_no_point_and_others_lose_nothing() {
        let json = |number| serde_json::to_string(&Number(number)).expect("it is JSON");
        let numbers = [5.0, -0.0, -3.0, 0.1, 2.5, 1e15, 1e300, f64::NAN];
        let expected = ["5", "0", "-3", "0.1", "2.5", "1000000000000000", "1e+300", "null"];
        assert_eq!(numbers.map(json), expected);
    }

    #[test]
    fn measured_numbers_are_short() {
        #[derive(Serialize)]
        struct Measured(#[serde(serialize_with = "super::measured")] f32);
        let json = |number| serde_json::to_string(&Measured(number)).expect("it is JSON");
        assert_eq!([0.1, 7.0, 0.123_456, f32::INFINITY].map(json), ["0.1", "7", "0.123", "null"]);
    }
}
