//! The path of a request: from the listener to the verdict, and to the shop or an answer.

pub(crate) mod edge;
pub(crate) mod endpoints;
pub(crate) mod form;
pub(crate) mod forward;
pub(crate) mod listener;
pub(crate) mod reply;
pub(crate) mod request_context;
pub(crate) mod shop_words;
pub(crate) mod unsent;
pub(crate) mod worker;
