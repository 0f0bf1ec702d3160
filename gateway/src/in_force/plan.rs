//! The intended state: the file, the rooms by version, the keys.
//!
//! The only maker of another [`Site`] while the gateway runs, for every source: a changed file
//! ([`crate::ops::reload`]), a version of the rooms in the store ([`crate::ops::fleet`]), other keys. If the store
//! holds a version, its rooms replace those of the file. A version that this gateway cannot take, say
//! because its file has no such upstream, leaves the rooms as they are and is tried again with every change
//! of the file. A room that is new here serves when the store has said where its line is: until then the holder of a
//! place looks like a stranger.
//!
//! Out of scope: watching files or the store.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use policy::Millis;
use policy::seal::Sealer;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::in_force::shared::Shared;
use crate::in_force::site::{Files, Site};
use crate::line::rooms::LiveRoom;
use crate::line::store::registry::{InForce, Version};
use crate::settings::config::event::{late_changes, started_again};
use crate::settings::config::{
    Config, Loss, RoomChange, RoomConfig, changes, difference, losses, review_rooms, rooms_alone,
};
use crate::telemetry::{self, Page, catalogue};

/// The plan of this gateway.
pub(crate) struct Plan {
    shared: Arc<Shared>,
    path: PathBuf,
    folder: PathBuf,
    state: Mutex<State>,
    /// One change at a time.
    turn: tokio::sync::Mutex<()>,
}

/// How long the store may take to return the lines of new rooms.
const FIRST_ANSWER: Duration = Duration::from_millis(400);

/// Names of rooms in problems: those that an operator sends, and those of this gateway's file.
const OF_A_TEXT: &str = "rooms.toml";
const OF_THE_FILE: &str = "the configuration file";

/// How long reading the pages of the rooms may take.
const FILES: Duration = Duration::from_secs(3);

struct State {
    /// The last valid file.
    file: Config,
    /// The rooms in force according to the store.
    wanted: Rooms,
    /// The rooms in force here.
    taken: Rooms,
    refused: Option<Refused>,
    /// Names of the keys that count, the sealing one first.
    keys: Vec<String>,
}

/// Rooms of a version, or of the file.
#[derive(Clone, Default, PartialEq)]
struct Rooms {
    in_force: InForce,
    version: Option<Version>,
}

/// A version that this gateway could not take, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RefusedVersion)]
pub(crate) struct Refused {
    /// Its number.
    pub version: u64,
    /// All its problems here.
    pub why: Vec<String>,
}

/// A gateway's report of its rooms and keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RoomsAndKeys)]
pub(crate) struct Report {
    /// The version of the rooms that is in force here; 0 are those of the file.
    pub rooms_version: u64,
    /// The wanted version, if it could not be taken.
    pub refused: Option<Refused>,
    /// Names of the keys that open tokens here; the first seals.
    pub keys: Vec<String>,
}

/// Rooms that may come in force.
#[derive(Debug, Clone)]
pub(crate) enum Next {
    /// A new text.
    Text(Arc<str>),
    /// A stored version.
    Kept(Version),
    /// Those of the file.
    File,
}

/// The preview of a text of rooms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Preview {
    /// The version in force that it was compared with.
    pub from: u64,
    /// The differences, room by room.
    pub changes: Vec<RoomChange>,
    /// Warnings for an operator about the rooms.
    pub warnings: Vec<String>,
}

impl Plan {
    /// The plan that is in force at the start: `file` and nothing else.
    pub(crate) fn new(path: &Path, shared: Arc<Shared>, keys: Vec<String>) -> Self {
        let (file, folder) = (shared.site.load().config.clone(), path.parent().unwrap_or(Path::new("")).to_owned());
        let (wanted, taken) = (Rooms::default(), Rooms::default());
        let state = Mutex::new(State { file, wanted, taken, refused: None, keys });
        Self { shared, path: path.to_owned(), folder, state, turn: tokio::sync::Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The wanted rooms, and those in force here.
    fn rooms(&self) -> (Rooms, Rooms) {
        let state = self.lock();
        (state.wanted.clone(), state.taken.clone())
    }

    /// Takes a new file.
    ///
    /// # Errors
    /// All problems of it and the rooms in force together; nothing has changed then.
    pub(crate) async fn file(&self, file: Config) -> Result<(), Vec<String>> {
        let _turn = self.turn.lock().await;
        if self.lock().wanted.in_force.number == 0 {
            self.refuse_late_changes(&file.rooms, OF_THE_FILE, false)?;
        }
        self.take(file).await
    }

    /// Takes the new content of the page files.
    ///
    /// # Errors
    /// All their problems; nothing has changed then.
    pub(crate) async fn pages(&self) -> Result<(), Vec<String>> {
        let _turn = self.turn.lock().await;
        let file = self.lock().file.clone();
        self.take(file).await
    }

    async fn take(&self, file: Config) -> Result<(), Vec<String>> {
        let (wanted, taken) = self.rooms();
        let (site, taken, refused) = match self.compile(&file, &wanted).await {
            Ok(site) => (site, wanted, None),
            Err(why) if taken == wanted => return Err(why),
            Err(why) => {
                let version = wanted.in_force.number;
                (self.compile(&file, &taken).await?, taken, Some(Refused { version, why }))
            }
        };
        changes::tell(&self.shared.site.load().config, &site.config);
        site.config.log_warnings();
        let mut state = self.lock();
        say_what_is_overridden(taken.in_force.number, &state.file, &file);
        (state.file, state.taken, state.refused) = (file, taken, refused);
        self.shared.site.store(Arc::new(site));
        Ok(())
    }

    /// Takes a switch reported by the store.
    pub(crate) async fn switched(&self, in_force: InForce, version: Option<Version>) {
        let _turn = self.turn.lock().await;
        let wanted = Rooms { in_force, version };
        let file = self.lock().file.clone();
        let site = self.compile(&file, &wanted).await;
        telemetry::reload("rooms", site.is_ok());
        let mut state = self.lock();
        state.wanted = wanted.clone();
        match site {
            Ok(site) => {
                changes::tell(&self.shared.site.load().config, &site.config);
                site.config.log_warnings();
                self.shared.site.store(Arc::new(site));
                (state.taken, state.refused) = (wanted, None);
                tracing::info!(version = in_force.number, "rooms in force");
            }
            Err(why) => {
                for problem in &why {
                    tracing::error!(version = in_force.number, problem, "rooms refused; the old ones stay");
                }
                state.refused = Some(Refused { version: in_force.number, why });
            }
        }
    }

    /// Seals and opens tokens with these keys from now on.
    pub(crate) async fn keys(&self, sealer: Sealer, names: Vec<String>) {
        let _turn = self.turn.lock().await;
        let site = self.shared.site.load().with_sealer(Arc::new(sealer));
        self.shared.site.store(Arc::new(site));
        tracing::info!(seals = names.first(), opens = ?names, "keys in force");
        self.lock().keys = names;
    }

    /// The rooms in force according to the store's last answer, with their text if there is one.
    pub(crate) fn wanted(&self) -> (InForce, Option<Version>) {
        let state = self.lock();
        (state.wanted.in_force, state.wanted.version.clone())
    }

    /// What is in force according to the store's last answer, as a text of rooms: the version's, or that of the file.
    ///
    /// # Errors
    /// If this gateway could not take it, or the file cannot be read.
    pub(crate) async fn text(&self) -> Result<(InForce, String), String> {
        let (wanted, refused) = {
            let state = self.lock();
            (state.wanted.clone(), state.refused.is_some())
        };
        let number = wanted.in_force.number;
        if refused {
            return Err(format!("this gateway could not take version {number}, which is in force: ask another"));
        }
        if let Some(version) = wanted.version {
            return Ok((wanted.in_force, version.text.to_string()));
        }
        let path = self.path.clone();
        let read = spawn_blocking(move || std::fs::read_to_string(path)).await;
        let text =
            read.map_err(|error| error.to_string())?.map_err(|error| format!("{}: {error}", self.path.display()))?;
        Ok((wanted.in_force, rooms_alone(&text).map_err(|error| error.to_string())?))
    }

    /// A room as one of these versions has it, or for number 0 as the file of this gateway does; `None`: that is not known.
    pub(crate) fn room_in(&self, number: u64, versions: &[Version], room: &str) -> Option<RoomConfig> {
        let rooms = match versions.iter().find(|version| version.number == number) {
            Some(version) => review_rooms(&version.text, &version.name())?.ok()?.0,
            None if number == 0 => self.lock().file.rooms.clone(),
            None => return None,
        };
        rooms.into_iter().find(|known| known.name == room)
    }

    /// Compiles the rooms anew if one of them is not any more in the state that it was compiled in: an opening to all has ended.
    pub(crate) async fn follow_time(&self) {
        let now = self.shared.rooms.utc();
        let over = |room: &LiveRoom, site: &Site| {
            let written = site.by_name.get(&*room.title());
            written.is_some_and(|written| written.config.controls().state(now) != room.settings().state)
        };
        let site = self.shared.site.load_full();
        if !site.opens_to_all || !self.shared.rooms.all().values().any(|room| over(room, &site)) {
            return;
        }
        let _turn = self.turn.lock().await;
        let file = self.lock().file.clone();
        match self.take(file).await {
            Ok(()) => tracing::info!("an opening to all has ended"),
            Err(why) => {
                tracing::error!(why = why.join("; "), "an opening to all has ended, and the rooms cannot be read");
            }
        }
    }

    /// This gateway's report of itself.
    pub(crate) fn report(&self) -> Report {
        let state = self.lock();
        let (refused, keys) = (state.refused.clone(), state.keys.clone());
        Report { rooms_version: state.taken.in_force.number, refused, keys }
    }

    /// Writes which version of the rooms is in force here, and which in the store.
    pub(crate) fn observe(&self, page: &mut Page) {
        let state = self.lock();
        page.add(&catalogue::ROOMS_VERSION, &[], state.taken.in_force.number);
        page.add(&catalogue::ROOMS_VERSION_WANTED, &[], state.wanted.in_force.number);
    }

    /// The changes if these rooms came in force here. If the version in force was refused, only for an
    /// operator who names it: the difference is to the rooms that stayed. No event starts again that was started in a version of `kept`.
    ///
    /// # Errors
    /// All their problems on this gateway.
    pub(crate) async fn preview(
        &self,
        next: Next,
        named: Option<u64>,
        kept: &[Version],
    ) -> Result<Preview, Vec<String>> {
        let (wanted, file) = {
            let state = self.lock();
            let wanted = state.wanted.in_force.number;
            if state.refused.is_some() && named != Some(wanted) {
                let what = format!("this gateway could not take version {wanted}, which is in force");
                return Err(vec![format!("{what}: ask another, or replace it with --from {wanted}")]);
            }
            (wanted, state.file.clone())
        };
        let (name, comes_back) = match &next {
            Next::Text(_) => (OF_A_TEXT.to_owned(), false),
            Next::Kept(version) => (version.name(), true),
            Next::File => (OF_THE_FILE.to_owned(), true),
        };
        let (config, _) = self.read(file, next).await?;
        self.refuse_late_changes(&config.rooms, &name, comes_back)?;
        let again = started_again(&rooms_of(kept), &config.rooms, self.utc(), &name);
        if !again.is_empty() {
            return Err(lines(&again));
        }
        Ok(Preview { from: wanted, changes: self.changes(&config), warnings: lines(&config.warnings) })
    }

    /// Refuses rooms whose events change something that has happened. Only before they come in force: what is in force in the store
    /// every gateway takes.
    fn refuse_late_changes(&self, next: &[RoomConfig], name: &str, comes_back: bool) -> Result<(), Vec<String>> {
        let before = self.shared.site.load();
        let late = late_changes(&before.config.rooms, next, self.utc(), name, comes_back);
        if late.is_empty() { Ok(()) } else { Err(lines(&late)) }
    }

    /// The time of day of the store.
    fn utc(&self) -> Millis {
        let (now, rooms) = (Instant::now(), self.shared.rooms.all());
        let heard = rooms.values().filter_map(|room| room.snapshot().utc(now)).max();
        // Without a room the store has told no time yet.
        let own = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Millis);
        heard.unwrap_or_else(own)
    }

    /// The differences from the rooms in force here, and the people who lose a place by them.
    fn changes(&self, next: &Config) -> Vec<RoomChange> {
        let mut changes = difference(&self.shared.site.load().config.rooms, &next.rooms);
        for change in &mut changes {
            change.loses = change.loses.take().and_then(|loss| self.counted(loss));
        }
        changes
    }

    /// The people who lose a place, if any.
    fn counted(&self, loss: Loss) -> Option<Loss> {
        let live = self.shared.rooms.all();
        let snapshot = live.get(loss.line.as_str())?.snapshot();
        let view = snapshot.view.as_ref()?;
        // A called shopper who has not entered yet waits as well.
        let (waiting, active_users) = (view.waiting() + view.claimants, view.active);
        (waiting + active_users > 0).then_some(Loss { waiting, active_users, ..loss })
    }

    /// Logs the people about to lose a place, while their number is known.
    fn say_who_loses(&self, next: &Config) {
        for (room, loss) in losses(&self.shared.site.load().config.rooms, &next.rooms) {
            if let Some(Loss { line, waiting, active_users, kept_by }) = self.counted(loss) {
                tracing::warn!(room, line, waiting, active_users, kept_by, "people lose their places with their line");
            }
        }
    }

    /// [`read`] on a thread that may block: the control thread does not wait for a file system.
    async fn read(&self, file: Config, next: Next) -> Result<(Config, Files), Vec<String>> {
        let folder = self.folder.clone();
        let reading = spawn_blocking(move || read(file, &next, &folder));
        match timeout(FILES, reading).await {
            Ok(read) => read.unwrap_or_else(|error| Err(vec![error.to_string()])),
            Err(_) => {
                Err(vec![format!("the files of the rooms cannot be read for {FILES:?}: look at the file system")])
            }
        }
    }

    async fn compile(&self, file: &Config, rooms: &Rooms) -> Result<Site, Vec<String>> {
        let next = match (rooms.in_force.number, &rooms.version) {
            (0, _) => Next::File,
            (number, None) => return Err(vec![format!("the store has no text of version {number}")]),
            (_, Some(version)) => Next::Kept(version.clone()),
        };
        let (config, files) = self.read(file.clone(), next).await?;
        self.say_who_loses(&config);
        let before = self.shared.site.load();
        let site = Site::with_files(config, files, Some(&before), &self.shared.rooms, before.sealer.clone());
        let site = site.map_err(|error| vec![format!("{error:#}")])?;
        // During the start no task calls the store yet.
        if self.shared.ready.load(Ordering::Relaxed) {
            self.shared.rooms.first_answers(FIRST_ANSWER).await;
        }
        Ok(site)
    }
}

/// Logs that the rooms of a file are ignored while a version is in force, and warns of an edit.
fn say_what_is_overridden(version: u64, before: &Config, now: &Config) {
    if version == 0 || before.rooms.is_empty() && now.rooms.is_empty() {
        return;
    }
    if before.rooms == now.rooms {
        tracing::info!(version, "the rooms are those of the store; the [[room]] tables of the file stand by");
        return;
    }
    let edits: Vec<String> = difference(&before.rooms, &now.rooms).iter().map(ToString::to_string).collect();
    tracing::warn!(
        version,
        edits = edits.join("; "),
        "the rooms are those of the store; the [[room]] tables of the file stand by, and what was changed in them counts \
         for nothing: put it in force with weir apply, or go back to the file with weir rollback --to 0"
    );
}

/// The configuration with other rooms, and the files that it names.
fn read(file: Config, next: &Next, folder: &Path) -> Result<(Config, Files), Vec<String>> {
    let config = match next {
        Next::Text(text) => file.with_rooms(text, OF_A_TEXT, folder),
        Next::Kept(version) => file.with_kept_rooms(&version.text, &version.name(), folder),
        Next::File => Ok(file),
    };
    let config = config.map_err(|all| lines(&all))?;
    let files = Files::read(&config).map_err(|error| vec![format!("{error:#}")])?;
    Ok((config, files))
}

/// When each version was made, and its rooms, as far as they can be read.
fn rooms_of(versions: &[Version]) -> Vec<(Millis, Vec<RoomConfig>)> {
    let rooms = |version: &Version| Some((version.made, review_rooms(&version.text, &version.name())?.ok()?.0));
    versions.iter().filter_map(rooms).collect()
}

fn lines(diagnostics: &[crate::settings::config::Diagnostic]) -> Vec<String> {
    diagnostics.iter().map(ToString::to_string).collect()
}
