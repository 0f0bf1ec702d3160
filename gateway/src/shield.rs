//! The slow controllers over the rate of a line: what stands behind a room is measured each second, and what it can take becomes a
//! cap on the rate ([`policy::cap`]).
//!
//! Out of scope: the laws (`policy::shield`), and what the shop itself says ([`crate::request::shop_words`]).

pub(crate) mod steering;
