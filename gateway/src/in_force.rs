//! What is in force: the compiled configuration, the state that threads share, and the one way to change them.

pub(crate) mod plan;
pub(crate) mod shared;
pub(crate) mod site;
