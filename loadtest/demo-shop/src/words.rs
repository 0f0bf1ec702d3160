//! What the shop tells of itself in its answers, so that a gateway in front can shield it. No header of these reaches a
//! shopper.
//!
//! ```text
//! Weir-Command: revoke, rate=480/m; ttl=30s                        what the shop can take now
//! Weir-Stock: sku=shoe-270; left=37; held=2                        what is left, and what is set aside
//! endpoint-load-metrics: TEXT application_utilization=0.8, ...     how full it is (ORCA, gRPC A51)
//! ```

use evidence::shop::{Stage, Stages};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::sale::Stock;

/// How long a word of the rate counts, in seconds: a shop that falls silent is not held to it for longer.
const TTL: u32 = 30;
/// The part of what the slowest stage delivers that may come, where no other is said: in a stage that is always full, the queue
/// only grows.
pub const PART: f64 = 0.9;

const COMMAND: HeaderName = HeaderName::from_static("weir-command");
const STOCK: HeaderName = HeaderName::from_static("weir-stock");
const ORCA: HeaderName = HeaderName::from_static("endpoint-load-metrics");

/// What is told.
#[derive(Debug, Clone, Default)]
pub struct Words {
    /// How full each stage is.
    pub orca: bool,
    /// The rate of new shoppers that the slowest stage can take: this part of what it delivers, 0 to 1.
    pub rate: Option<f64>,
    /// What is left of the product, by this name.
    pub stock: Option<String>,
}

impl Words {
    /// Whether anything is told.
    pub(crate) fn are_any(&self) -> bool {
        self.orca || self.rate.is_some() || self.stock.is_some()
    }

    /// Puts them into the head of an answer, beside a command that stands there. `says` is a command in place of the rate.
    pub(crate) fn tell(&self, says: Option<String>, stages: &Stages, stock: Option<Stock>, headers: &mut HeaderMap) {
        if let Some(rate) = says.or_else(|| rate(stages, self.rate?)) {
            let before = headers.get(COMMAND).and_then(|command| command.to_str().ok());
            let both = before.map_or(rate.clone(), |before| format!("{before}, {rate}"));
            insert(headers, COMMAND, both);
        }
        if let (Some(sku), Some(Stock { left, held })) = (&self.stock, stock) {
            insert(headers, STOCK, format!("sku={sku}; left={left}; held={held}"));
        }
        if self.orca {
            insert(headers, ORCA, orca(stages));
        }
    }
}

/// New shoppers a minute that the slowest stage can take; none until that is known.
fn rate(stages: &Stages, part: f64) -> Option<String> {
    let per_minute = (stages.delivers()? * part * 60.0).floor().max(1.0);
    Some(format!("rate={per_minute}/m; ttl={TTL}s"))
}

/// The fullest stage, and each by its name.
fn orca(stages: &Stages) -> String {
    let payment = stages.payment.as_ref().map(Stage::fill);
    let order = stages.order.fill();
    let fullest = payment.map_or(order, |payment| payment.max(order));
    let payment = payment.map_or_else(String::new, |fill| format!(", named_metrics.payment={fill:.3}"));
    format!("TEXT application_utilization={fullest:.3}, named_metrics.order={order:.3}{payment}")
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages() -> Stages {
        Stages {
            order: Stage { pool: 20, in_work: 10, waiting: 0, delivers: 33.4 },
            payment: Some(Stage { pool: 4, in_work: 4, waiting: 2, delivers: 8.9 }),
        }
    }

    fn told(words: &Words, stages: &Stages, stock: Option<Stock>, command: Option<&'static str>) -> [String; 3] {
        let mut headers = HeaderMap::new();
        if let Some(command) = command {
            headers.insert(COMMAND, HeaderValue::from_static(command));
        }
        words.tell(None, stages, stock, &mut headers);
        let value = |name| headers.get(name).map_or(String::new(), |value| value.to_str().unwrap().to_owned());
        [COMMAND, STOCK, ORCA].map(value)
    }

    #[test]
    fn each_word_is_told_where_it_is_asked_for_and_nothing_else() {
        let stock = Some(Stock { left: 37, held: 2 });
        let all = Words { orca: true, rate: Some(PART), stock: Some("shoe-270".into()) };
        let [command, left, orca] = told(&all, &stages(), stock, Some("revoke"));
        assert_eq!(command, "revoke, rate=480/m; ttl=30s", "of the slower stage, which delivers 8.9 a second");
        assert_eq!(left, "sku=shoe-270; left=37; held=2");
        let expected = "TEXT application_utilization=1.500, named_metrics.order=0.500, named_metrics.payment=1.500";
        assert_eq!(orca, expected);
        let more = Words { rate: Some(1.0), ..Words::default() };
        assert_eq!(told(&more, &stages(), stock, None)[0], "rate=534/m; ttl=30s");
        assert_eq!(told(&Words::default(), &stages(), stock, Some("revoke")), ["revoke", "", ""]);
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let all = Words { orca: true, rate: Some(PART), stock: Some("shoe-270".into()) };
        let unknown = Stages { order: Stage { pool: 20, ..Stage::default() }, payment: None };
        let [command, stock, orca] = told(&all, &unknown, None, None);
        assert_eq!((command.as_str(), stock.as_str()), ("", ""));
        assert_eq!(orca, "TEXT application_utilization=0.000, named_metrics.order=0.000", "idle is known");
    }
}
