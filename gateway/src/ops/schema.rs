//! Shapes of values of `policy` in the description of the API: that crate knows no `OpenAPI`. Words of a list are taken from the list,
//! so that a new one is described by itself.

use policy::action::{ACTIONS, State};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// The last line of an audit.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape: `policy::audit::Head` has the values")]
pub(crate) struct AuditHead {
    /// Its number, from 1; 0: there is none.
    number: u64,
    /// Its SHA-256, in hex.
    hash: String,
}

/// What an arriving visitor gets.
pub(crate) struct RoomState;

/// What an operator does to a room.
pub(crate) struct ActionName;

/// One of these words.
fn one_of(words: impl IntoIterator<Item = &'static str>, about: &str) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).description(Some(about)).into()
}

impl PartialSchema for RoomState {
    fn schema() -> RefOr<Schema> {
        one_of(State::ALL.map(State::name), "What an arriving visitor gets.")
    }
}

impl ToSchema for RoomState {}

impl PartialSchema for ActionName {
    fn schema() -> RefOr<Schema> {
        one_of(ACTIONS, "What an operator does to a room.")
    }
}

impl ToSchema for ActionName {}
