//! Which requests belong to a room.
