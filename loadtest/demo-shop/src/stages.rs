//! The stages of a purchase: what they say of themselves, and their faults on purpose.
//!
//! `GET /shop/stages` tells how full they are, without asking the database. `POST /shop/stages?payment=0.1` leaves a stage
//! a tenth of its pool, as a third party that stalls, and `payment=1` gives it back. That is for the operator of a test: what
//! came through a proxy is refused, or any shopper could stop the shop.

use evidence::shop::Stages;
use http::{HeaderMap, Method, Request, StatusCode, Uri};

use crate::Shop;
use crate::payment::ThirdParty;
use crate::served::{Answer, Served, html, text};

/// Headers of which a proxy adds one at least.
const BY_PROXY: [&str; 4] = ["forwarded", "x-forwarded-for", "via", "weir-room"];

impl Shop {
    /// The stages now.
    pub fn stages(&self) -> Stages {
        Stages { order: self.inventory.stage(), payment: self.third_party.as_ref().map(ThirdParty::stage) }
    }

    /// Leaves a stage this share of its pool, 0 to 1; one that is not nothing is one slot at least.
    ///
    /// # Errors
    /// The name is that of no stage of this shop, or the share is none.
    pub fn set_share(&self, stage: &str, share: f64) -> Result<(), String> {
        if !(0.0..=1.0).contains(&share) {
            return Err(format!("{stage}={share}: a share lies between 0 and 1"));
        }
        let of = |pool: usize| ((pool as f64 * share).round() as usize).max(usize::from(share > 0.0));
        match (stage, &self.third_party) {
            ("order", _) => self.inventory.resize(of(self.order_pool)),
            ("payment", Some(third)) => third.resize(of(third.tuning().pool)),
            ("payment", None) => return Err("payment: this shop has no third party".into()),
            _ => return Err(format!("{stage}: the stages are order and payment")),
        }
        Ok(())
    }

    /// The answer to a request for `/shop/stages`.
    pub(crate) fn answer_stages<B>(&self, request: &Request<B>) -> Answer {
        match *request.method() {
            Method::GET => {}
            Method::POST if !came_by_proxy(request.headers()) => {
                if let Err(wrong) = self.set_shares(request.uri()) {
                    return html(StatusCode::BAD_REQUEST, format!("{wrong}\n"));
                }
            }
            _ => return Served::absent().into_answer(None),
        }
        text("application/json", serde_json::to_string(&self.stages()).unwrap_or_default())
    }

    fn set_shares(&self, uri: &Uri) -> Result<(), String> {
        for pair in uri.query().unwrap_or_default().split('&') {
            let (stage, share) = pair.split_once('=').ok_or("write it as payment=0.1")?;
            let share = share.parse().map_err(|_| format!("{pair}: {share:?} is no number"))?;
            self.set_share(stage, share)?;
        }
        Ok(())
    }
}

pub(crate) fn came_by_proxy(headers: &HeaderMap) -> bool {
    BY_PROXY.iter().any(|name| headers.contains_key(*name))
}
