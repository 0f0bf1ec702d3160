//! The purpose of the launch: a shopper who is let in gets their order.
//!
//! ```text
//! orders     (bought + sold out) / let in, of those who came to buy       >= objective
//! receipts   shoppers with a receipt, less orders that the shop has paid  = 0
//! paid-once  orders that two passes paid                                  = 0
//! inventory      oversold + unaccounted + duplicates, as the shop counts them = 0
//! ```
//!
//! A shopper who finds everything sold has been served.
//!
//! Out of scope: how long it took (`pages`).

use std::collections::{HashMap, HashSet};

use evidence::shop::{Entry, Outcome};
use evidence::{End, Page, Visit};

use crate::check::{Check, first_of, share};
use crate::launch::Launch;

pub(crate) fn checks(launch: &Launch<'_>) -> Vec<Check> {
    vec![served(launch), receipts(launch), paid_once(launch), inventory(launch)]
}

fn served(launch: &Launch<'_>) -> Check {
    let check =
        Check::new("orders", "Share of those let in who got their order, or found everything sold").unit("share");
    let buyers: Vec<&Visit> = launch.evidence.visits.iter().filter(|visit| came_in_to_buy(visit)).collect();
    if buyers.is_empty() {
        return check.detail("Nobody who wanted to buy was let in.");
    }
    let count = |end| buyers.iter().filter(|visit| visit.end == end).count();
    let (bought, sold_out) = (count(End::Bought), count(End::SoldOut));
    let left: Vec<u64> = buyers.iter().filter(|visit| !is_served(visit)).map(|visit| visit.index).collect();
    let detail = format!(
        "{bought} bought and {sold_out} found everything sold, of {} let in; {} failed, {} had not finished.{}",
        buyers.len(),
        count(End::OrderFailed),
        count(End::Unfinished),
        first_of(&left),
    );
    check.at_least(share(bought + sold_out, buyers.len()), launch.scenario.objectives.orders).detail(detail)
}

fn came_in_to_buy(visit: &Visit) -> bool {
    visit.entered.is_some() && visit.end != End::Looked && !visit.persona.is_adversary()
}

fn is_served(visit: &Visit) -> bool {
    matches!(visit.end, End::Bought | End::SoldOut)
}

/// Payments that went through, in the shop's log.
fn payments<'a>(launch: &Launch<'a>) -> impl Iterator<Item = (u64, &'a Entry)> {
    let paid = |entry: &&Entry| entry.page == Page::Payment && entry.outcome == Outcome::Ok;
    launch.evidence.shop.iter().filter(paid).filter_map(|entry| Some((entry.order?, entry)))
}

fn receipts(launch: &Launch<'_>) -> Check {
    let check = Check::new("receipts", "Receipts of which the shop knows nothing").unit("orders");
    let bought = launch.evidence.visits.iter().filter(|visit| visit.end == End::Bought).count();
    let logged = payments(launch).map(|(order, _)| order).collect::<HashSet<u64>>().len();
    let paid = launch.evidence.shop_report.as_ref().map_or(logged, |report| report.orders_ok as usize);
    if bought == 0 || (logged == 0 && launch.evidence.shop_report.is_none()) {
        return check.detail("There is no receipt, or no shop that tells what it sold.");
    }
    let detail =
        format!("{bought} shoppers have a receipt; the shop has {paid} paid orders, {logged} of them in its log.");
    check.none(bought.saturating_sub(paid)).detail(detail)
}

fn paid_once(launch: &Launch<'_>) -> Check {
    let check = Check::new("paid-once", "Orders that two passes paid").unit("orders");
    let mut payers = HashMap::<u64, HashSet<&str>>::new();
    for (order, entry) in payments(launch) {
        payers.entry(order).or_default().extend(entry.pass_id.as_deref());
    }
    if payers.is_empty() {
        return check.detail("The shop's log has no payment.");
    }
    check
        .none(payers.values().filter(|payers| payers.len() > 1).count())
        .detail(format!("Of {} paid orders.", payers.len()))
}

/// The inventory's own account.
fn inventory(launch: &Launch<'_>) -> Check {
    let check = Check::new("inventory", "Pieces and orders that do not fit in the shop's inventory").unit("pieces");
    let account = launch.evidence.shop_report.as_ref().and_then(|report| report.account.as_ref());
    let Some(account) = account else { return check.detail("The shop showed nobody its inventory.") };
    let wrong = account.oversold + account.unaccounted + account.duplicates;
    let detail = format!(
        "{} of {} pieces are left, {} orders, {} paid; {} sold beyond the stock, {} unaccounted, {} duplicates.",
        account.left_over,
        account.stock,
        account.orders,
        account.paid,
        account.oversold,
        account.unaccounted,
        account.duplicates,
    );
    check.none(wrong as usize).detail(detail)
}

#[cfg(test)]
mod tests {
    use evidence::shop::{Account, Report};

    use super::*;
    use crate::check::Outcome;
    use crate::fixture::Made;

    #[test]
    fn who_is_let_in_gets_an_order_or_finds_everything_sold() {
        let mut made = Made::line_of(100);
        assert_eq!(made.check("orders").measured, Some(1.0));
        made.evidence.visits[7].end = End::SoldOut;
        made.evidence.visits[8].end = End::OrderFailed;
        assert_eq!(made.check("orders").outcome, Outcome::Held, "99 of 100");
        made.evidence.visits[9].end = End::Unfinished;
        let check = made.check("orders");
        assert_eq!((check.outcome, check.measured), (Outcome::Broken, Some(0.98)), "{check:?}");
        assert!(check.detail.contains("visitor 8, visitor 9"), "{check:?}");
        assert_eq!(Made::new().check("orders").outcome, Outcome::Unknown);
    }

    #[test]
    fn a_receipt_stands_for_an_order_of_the_shop() {
        let mut made = Made::line_of(20);
        assert_eq!(made.check("receipts").outcome, Outcome::Held);
        made.evidence.shop.retain(|entry| entry.order != Some(4));
        assert_eq!(made.check("receipts").measured, Some(1.0));
        made.evidence.shop.clear();
        assert_eq!(made.check("receipts").outcome, Outcome::Unknown);
        assert_eq!(made.check("paid-once").outcome, Outcome::Unknown);
    }

    #[test]
    fn books_that_do_not_fit_are_found() {
        let mut made = Made::line_of(20);
        assert_eq!(made.check("inventory").outcome, Outcome::Unknown);
        let inventory = |oversold| {
            let account = Account { stock: 20, orders: 20, paid: 20, oversold, ..Account::default() };
            Some(Report { orders_ok: 20, account: Some(account), ..Report::default() })
        };
        made.evidence.shop_report = inventory(0);
        assert_eq!(made.check("inventory").outcome, Outcome::Held);
        made.evidence.shop_report = inventory(1);
        assert_eq!(made.check("inventory").measured, Some(1.0));
    }

    #[test]
    fn an_order_is_paid_by_one() {
        let mut made = Made::line_of(20);
        assert_eq!(made.check("paid-once").outcome, Outcome::Held);
        made.visits_shop(99, Page::Payment, 900);
        made.evidence.shop.last_mut().unwrap().order = Some(4);
        assert_eq!(made.check("paid-once").outcome, Outcome::Broken);
    }
}
