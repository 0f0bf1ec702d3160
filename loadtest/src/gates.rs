//! How wide the gates before the stages of a purchase are.
//!
//! ```text
//! width = slots of the stage x part of them that the form holds        (Little: a form in flight holds a slot)
//! ```
//!
//! So the gates of orders and payments together leave the database the slots that its pages need, and what waits waits at
//! the gates. A third party has a pool of its own, and all of it is for payments.

use demo_shop::model::{ITEM, ORDER, PAYMENT};
use launch_model::scenario::Shop;

/// Orders and payments that may be in flight at once at this shop.
pub fn widths(shop: &Shop) -> [usize; 2] {
    let part = |work: f64| ((shop.slots as f64 * work / (ITEM + ORDER + PAYMENT)).ceil() as usize).max(1);
    [part(ORDER), shop.payment.as_ref().map_or(part(PAYMENT), |payment| payment.pool)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_have_their_part_of_the_database_and_payments_all_of_a_third_party() {
        let mut shop = Shop { slots: 20, ..Shop::default() };
        assert_eq!(widths(&shop), [7, 10]);
        shop.payment = Some(launch_model::scenario::Payment { pool: 30, ..Default::default() });
        assert_eq!(widths(&shop), [7, 30]);
        assert_eq!(widths(&Shop { slots: 1, ..Shop::default() }), [1, 1]);
    }
}
