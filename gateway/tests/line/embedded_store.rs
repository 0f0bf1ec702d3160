//! The embedded store across losses: what a line learned of earlier segments outlives the process.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use gateway::line::store::embedded::Embedded;
use gateway::line::store::{Store as _, StoreError, Work};
use policy::line::segment::{SPAN, base_of};
use policy::line::{Adopt, Batch, Grant, Memory, Outcome};
use policy::room::Rules;
use policy::ticket::Token;
use redb::{Database, TableDefinition};

async fn ask(store: &Embedded, memory: &mut Memory, batch: Batch) -> Outcome {
    let (seen, restore) = memory.recall();
    let batch = Batch { gateway: 1, seen, restore, ..batch };
    let releases = batch.releases.clone();
    let work = Work { room: "launch".into(), rules: Rules::per_minute(60_000), batch };
    let outcome = store.commit(vec![work]).await.unwrap().remove(0);
    memory.note(&releases, &outcome);
    outcome
}

fn joins(count: u64) -> Batch {
    Batch { joins: count, ..Batch::default() }
}

#[tokio::test]
async fn segments_and_claims_in_each_of_them_are_read_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("weir.redb");
    let mut memory = Memory::default();
    let store = Embedded::open(&file).unwrap();
    let first = ask(&store, &mut memory, joins(20)).await.first;
    // A ticket above all given ones: the file was put back from an older copy.
    memory.shown(&Token::ticket(first + 29, 0));
    let second = ask(&store, &mut memory, joins(20)).await;
    assert!(base_of(second.first) > base_of(first) && second.view.segments.given() == 50, "{second:?}");
    ask(&store, &mut memory, Batch { releases: vec![first + 25, second.first + 3], ..Batch::default() }).await;
    let before = ask(&store, &mut memory, Batch::default()).await.view;
    drop(store);

    let store = Embedded::open(&file).unwrap();
    let mut memory = Memory::default();
    let view = ask(&store, &mut memory, joins(0)).await.view;
    assert_eq!((view.segments.given(), view.lost), (50, before.lost));
    assert!(view.segments.called() >= before.segments.called());
    let mut answers = Vec::new();
    while answers.len() < 2 {
        let claims = Batch { claims: vec![first + 25, second.first + 3], ..Batch::default() };
        let outcome = ask(&store, &mut memory, claims).await;
        answers = outcome.grants.into_iter().filter(|(_, grant)| *grant != Grant::NotYet).collect();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    answers.sort_by_key(|(number, _)| *number);
    assert_eq!(answers, vec![(first + 25, Grant::Spent), (second.first + 3, Grant::Spent)]);
    assert!(view.segments.open.base >= SPAN);
}

fn is_refused(file: &Path) -> bool {
    matches!(Embedded::open(file), Err(StoreError::Format { .. }))
}

#[test]
fn a_file_of_another_layout_is_refused_with_a_word_on_what_to_do() {
    const LINE: TableDefinition<&str, (u32, u32)> = TableDefinition::new("line");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("weir.redb");
    let database = Database::create(&file).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(LINE).unwrap().insert("launch", (1, 2)).unwrap();
    write.commit().unwrap();
    drop(database);
    assert!(is_refused(&file));
    let told = Embedded::open(&file).err().unwrap().to_string();
    assert!(told.contains("move the file away"), "{told}");
}

#[tokio::test]
async fn records_of_cuts_are_bounded_and_read_again_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("weir.redb");
    let cut = |run| Work {
        room: "launch".into(),
        rules: Rules::per_minute(60_000),
        batch: Batch { adopt: Some(Adopt { incarnation: run, first: 1, count: 2 }), ..Batch::default() },
    };
    let store = Embedded::open(&file).unwrap();
    // The later a gateway was cut off, the smaller is its name: the order of the file is not that of the line.
    let before = store.commit((0..520).map(|n| cut(1_000 - n)).collect()).await.unwrap().pop().unwrap().view.adopted;
    drop(store);
    let store = Embedded::open(&file).unwrap();
    let after = store.commit(vec![cut(7)]).await.unwrap().pop().unwrap().view.adopted;
    assert_eq!((before.len(), after.len()), (512, 512));
    assert_eq!((&after[..511], after[511].adopt.incarnation), (&before[1..], 7));
}
