//! The words of a visit: what is asked, what is answered, and what a visitor does next.
//!
//! Out of scope: who the visitor is ([`crate::visitor`]), sockets, clocks, and the text of pages.

mod act;
mod answer;
mod ask;

pub use crate::jar::Cookies;
pub(crate) use act::Detour;
pub use act::{End, Event, Next, Place, Stumble, Then, Why};
pub use answer::{Answer, Content, Later, Lost, QueueInfo, RawAnswer, ShopPage};
pub use ask::{Ask, Call, Manner, Page, Request};
