//! The load that a server of the shop reports in the header `endpoint-load-metrics` of its answers.
//!
//! ```text
//! endpoint-load-metrics: TEXT application_utilization=0.7, named_metrics.pool=0.9
//! endpoint-load-metrics: JSON {"cpuUtilization": 0.4, "named_metrics": {"pool": 0.9}}
//! ```
//!
//! The word before a report may be missing, and `:` may stand for `=`: proxies read both. Names in JSON are those of protobuf, in
//! either spelling.
//!
//! Out of scope: reports in protobuf (`BIN`), and how full a value is.
//!
//! Source: Open Request Cost Aggregation (ORCA), `xds.data.orca.v3.OrcaLoadReport`; Envoy's and gRPC's headers.

use std::collections::HashMap;

use serde::Deserialize;

/// Before the name of a metric of the shop's own.
const NAMED: &str = "named_metrics.";
/// Metrics that every report may have.
const UTILIZATIONS: [&str; 3] = ["application_utilization", "cpu_utilization", "mem_utilization"];

/// Whether a report can have a metric of this name.
pub fn is_metric(name: &str) -> bool {
    UTILIZATIONS.contains(&name) || name.strip_prefix(NAMED).is_some_and(|own| !own.is_empty())
}

/// Why a report tells nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadReport {
    /// In a form that is not read.
    #[error("a report in binary form is not read: let the shop send TEXT or JSON")]
    Binary,
    /// Neither a list of names and numbers nor JSON.
    #[error("a report is TEXT application_utilization=0.7, or JSON {{\"application_utilization\": 0.7}}")]
    Unreadable,
    /// It has no such metric.
    #[error("the report does not have the metric")]
    NoMetric,
}

/// The value of a metric in a report: any number, perhaps none that makes sense.
///
/// # Errors
/// If the report cannot be read or does not have it.
pub fn value(report: &[u8], metric: &str) -> Result<f64, BadReport> {
    let report = str::from_utf8(report).map_err(|_| BadReport::Unreadable)?.trim();
    let (form, rest) = report.split_at(report.find([' ', '{']).unwrap_or(report.len()));
    match form {
        "BIN" => Err(BadReport::Binary),
        "JSON" => in_json(rest.trim(), metric),
        "TEXT" => in_text(rest.trim(), metric),
        _ if report.starts_with('{') => in_json(report, metric),
        _ => in_text(report, metric),
    }
}

fn in_text(report: &str, metric: &str) -> Result<f64, BadReport> {
    let mut found = None;
    for entry in report.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let (name, value) = entry.split_once(['=', ':']).ok_or(BadReport::Unreadable)?;
        if name.trim() == metric {
            found = Some(value.trim().parse().map_err(|_| BadReport::Unreadable)?);
        }
    }
    found.ok_or(BadReport::NoMetric)
}

/// What is looked for in a report.
#[derive(Deserialize)]
struct Report {
    #[serde(alias = "applicationUtilization")]
    application_utilization: Option<f64>,
    #[serde(alias = "cpuUtilization")]
    cpu_utilization: Option<f64>,
    #[serde(alias = "memUtilization")]
    mem_utilization: Option<f64>,
    #[serde(default, alias = "namedMetrics")]
    named_metrics: HashMap<String, f64>,
}

fn in_json(report: &str, metric: &str) -> Result<f64, BadReport> {
    let report: Report = serde_json::from_str(report).map_err(|_| BadReport::Unreadable)?;
    let value = match metric {
        "application_utilization" => report.application_utilization,
        "cpu_utilization" => report.cpu_utilization,
        "mem_utilization" => report.mem_utilization,
        _ => metric.strip_prefix(NAMED).and_then(|own| report.named_metrics.get(own)).copied(),
    };
    value.ok_or(BadReport::NoMetric)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(report: &str, metric: &str) -> Result<f64, BadReport> {
        value(report.as_bytes(), metric)
    }

    #[test]
    fn a_report_is_read_in_each_form_that_is_in_use() {
        for report in [
            "TEXT application_utilization=0.7, cpu_utilization=0.5,named_metrics.pool=12",
            "TEXT application_utilization:0.7,cpu_utilization:0.5,named_metrics.pool:12",
            "application_utilization = 0.7,cpu_utilization=0.5,named_metrics.pool=12,",
            r#"JSON {"application_utilization": 0.7, "cpu_utilization": 0.5, "named_metrics": {"pool": 12}, "eps": 1}"#,
            r#"JSON{"applicationUtilization":0.7,"cpuUtilization":0.5,"namedMetrics":{"pool":12}}"#,
            r#"{"applicationUtilization":0.7,"cpuUtilization":0.5,"namedMetrics":{"pool":12}}"#,
        ] {
            assert_eq!(of(report, "application_utilization"), Ok(0.7), "{report}");
            assert_eq!(of(report, "cpu_utilization"), Ok(0.5), "{report}");
            assert_eq!(of(report, "named_metrics.pool"), Ok(12.0), "{report}");
            for none in ["mem_utilization", "named_metrics.lock", "eps_"] {
                assert_eq!(of(report, none), Err(BadReport::NoMetric), "{report}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let metric = "cpu_utilization";
        for report in ["BIN CAEQAg==", "BIN"] {
            assert_eq!(of(report, metric), Err(BadReport::Binary), "{report}");
        }
        for report in [
            "TEXT cpu_utilization",
            "TEXT cpu_utilization=much",
            "JSON {",
            "JSON [1]",
            "JSON {\"cpu_utilization\":\"x\"}",
        ] {
            assert_eq!(of(report, metric), Err(BadReport::Unreadable), "{report}");
        }
        assert_eq!(value(b"TEXT \xff", metric), Err(BadReport::Unreadable));
        assert_eq!(of("", metric), Err(BadReport::NoMetric));
        assert!(
            of("TEXT cpu_utilization=NaN", metric).is_ok_and(f64::is_nan),
            "a number: what it is worth is decided elsewhere"
        );
    }

    #[test]
    fn metrics_have_names() {
        for (name, is) in
            [("cpu_utilization", true), ("named_metrics.x", true), ("named_metrics.", false), ("eps", false)]
        {
            assert_eq!(is_metric(name), is, "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_server_sends_is_read_or_refused(
            report: Vec<u8>,
            text in "(TEXT |JSON |BIN )?[a-z_=:,. {}\"0-9-]{0,60}",
        ) {
            for report in [&report[..], text.as_bytes()] {
                for metric in ["application_utilization", "named_metrics.a"] {
                    let _ = value(report, metric);
                }
            }
        }

        #[test]
        fn a_value_comes_through(number in 0.0..1e9f64) {
            let text = format!("TEXT eps=1,mem_utilization={number}");
            let json = format!("JSON {{\"memUtilization\": {number}}}");
            proptest::prop_assert_eq!(of(&text, "mem_utilization"), Ok(number));
            proptest::prop_assert!(of(&json, "mem_utilization").is_ok_and(|read| (read - number).abs() <= number * 1e-12));
        }
    }
}
