use policy::pacer::PollTable;
use policy::room::{QueueingMethod, Room, Rules};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::line::store::{Commit, Store, StoreError, Work};
use crate::telemetry::StoreMeters;

/// A store that never answers.
struct Gone;

impl Store for Gone {
    fn commit(&self, _: Vec<Work>) -> Commit<'_> {
        Box::pin(async { Err(StoreError::Stopped) })
    }
}

fn settings(queueing_method: QueueingMethod) -> RoomSettings {
    let room = Room { queueing_method, ..Room::new(Rules::per_minute(600)) };
    RoomSettings {
        name: "launch".into(),
        room,
        polls: PollTable::CALM,
        poll_budget: 2_000.0,
        zone: TimeZone::UTC,
        page: 0,
        timetable: None,
        event_pages: Vec::new(),
        state: policy::action::State::Running,
        message: None,
    }
}

#[tokio::test]
async fn a_newcomer_whose_store_fails_is_refused_where_the_room_rejects_and_keeps_a_place_elsewhere() {
    let (rooms, mailbox) = rooms(1);
    rooms.apply([("launch".to_owned(), settings(QueueingMethod::Reject))]);
    let room = rooms.all()["launch"].clone();
    let stop = CancellationToken::new();
    let committer = tokio::spawn(run(rooms, mailbox, Arc::new(Gone), StoreMeters::default(), stop.clone()));
    let arrival = |if_called| Arrival { id: 1, if_called };
    assert_eq!((room.join(true).await, room.join(false).await), (Admission::Full, Admission::Away));
    assert_eq!(
        (room.arrive(arrival(true)).await, room.arrive(arrival(false)).await),
        (Admission::Full, Admission::Away)
    );
    assert_eq!((room.visit().await, room.served()), (Admission::Away, [0, 0]));
    stop.cancel();
    committer.await.unwrap();
    assert_eq!(room.join(true).await, Admission::Full, "a committer that has ended answers as a store that is away");
}
