//! What is meant to be in force: the file, the rooms by version, the keys.
//!
//! The one place that makes another [`Site`] while the gateway runs, whoever wants it: a changed file
//! ([`crate::reload`]), a version of the rooms in the store ([`crate::fleet`]), other keys. If the store
//! holds a version, its rooms stand in for those of the file. A version that this gateway cannot take, say
//! because its file has no such upstream, leaves the rooms as they are and is tried again with every change
//! of the file. A room that is new here serves when the store has said where its line is: until then nobody could
//! be told from a stranger.
//!
//! Out of scope: watching anything.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policy::seal::Sealer;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::config::{Config, Loss, RoomChange, changes, difference, losses};
use crate::shared::Shared;
use crate::site::{Files, Site};
use crate::store::registry::{InForce, Version};
use crate::telemetry::{self, Page, catalogue};

/// The plan of this gateway.
pub(crate) struct Plan {
    shared: Arc<Shared>,
    folder: PathBuf,
    state: Mutex<State>,
    /// One change at a time.
    turn: tokio::sync::Mutex<()>,
}

/// How long the store may take to say where the lines of new rooms are.
const FIRST_ANSWER: Duration = Duration::from_millis(400);

/// How long reading the pages of the rooms may take.
const FILES: Duration = Duration::from_secs(3);

struct State {
    /// The file, as it was last valid.
    file: Config,
    /// What the store says is in force.
    wanted: Rooms,
    /// What is in force here.
    taken: Rooms,
    refused: Option<Refused>,
    /// Names of the keys that count, the one that seals first.
    keys: Vec<String>,
}

/// Rooms of a version, or of the file.
#[derive(Clone, Default, PartialEq)]
struct Rooms {
    in_force: InForce,
    version: Option<Version>,
}

/// A version that this gateway could not take, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refused {
    /// Its number.
    pub version: u64,
    /// Everything that is wrong with it here.
    pub why: Vec<String>,
}

/// What a gateway says of its rooms and keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The version of the rooms that is in force here; 0 are those of the file.
    pub rooms_version: u64,
    /// The version that is wanted and could not be taken.
    pub refused: Option<Refused>,
    /// Names of the keys that open tokens here; the first seals.
    pub keys: Vec<String>,
}

/// Rooms that may come in force.
#[derive(Debug, Clone)]
pub(crate) enum Next {
    /// A text that was just written.
    Text(Arc<str>),
    /// A version that is kept.
    Kept(Version),
    /// Those of the file.
    File,
}

/// What a text of rooms would change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Preview {
    /// The version in force that it was compared with.
    pub from: u64,
    /// What is different, room by room.
    pub changes: Vec<RoomChange>,
    /// What an operator should know of the rooms.
    pub warnings: Vec<String>,
}

impl Plan {
    /// The plan that is in force at the start: `file` and nothing else.
    pub(crate) fn new(path: &Path, shared: Arc<Shared>, keys: Vec<String>) -> Self {
        let (file, folder) = (shared.site.load().config.clone(), path.parent().unwrap_or(Path::new("")).to_owned());
        let (wanted, taken) = (Rooms::default(), Rooms::default());
        let state = Mutex::new(State { file, wanted, taken, refused: None, keys });
        Self { shared, folder, state, turn: tokio::sync::Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wanted, and what is in force here.
    fn rooms(&self) -> (Rooms, Rooms) {
        let state = self.lock();
        (state.wanted.clone(), state.taken.clone())
    }

    /// The file is this one now.
    ///
    /// # Errors
    /// Everything that is wrong with it and the rooms in force together; nothing has changed then.
    pub(crate) async fn file(&self, file: Config) -> Result<(), Vec<String>> {
        let _turn = self.turn.lock().await;
        self.take(file).await
    }

    /// The files of its pages have another content.
    ///
    /// # Errors
    /// Everything that is wrong with them; nothing has changed then.
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

    /// The store says that this is in force now.
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

    /// Tokens are sealed and opened with these keys now.
    pub(crate) async fn keys(&self, sealer: Sealer, names: Vec<String>) {
        let _turn = self.turn.lock().await;
        let site = self.shared.site.load().with_sealer(Arc::new(sealer));
        self.shared.site.store(Arc::new(site));
        tracing::info!(seals = names.first(), opens = ?names, "keys in force");
        self.lock().keys = names;
    }

    /// What the store last said is in force, with its text if it has one.
    pub(crate) fn wanted(&self) -> (InForce, Option<Version>) {
        let state = self.lock();
        (state.wanted.in_force, state.wanted.version.clone())
    }

    /// What this gateway says of itself.
    pub(crate) fn report(&self) -> Report {
        let state = self.lock();
        let (refused, keys) = (state.refused.clone(), state.keys.clone());
        Report { rooms_version: state.taken.in_force.number, refused, keys }
    }

    /// Tells which version of the rooms is in force here, and which in the store.
    pub(crate) fn observe(&self, page: &mut Page) {
        let state = self.lock();
        page.add(&catalogue::ROOMS_VERSION, &[], state.taken.in_force.number);
        page.add(&catalogue::ROOMS_VERSION_WANTED, &[], state.wanted.in_force.number);
    }

    /// What would change if these rooms came in force here. Where the version in force was refused, only for an
    /// operator who names it: the difference is to the rooms that stayed.
    ///
    /// # Errors
    /// Everything that is wrong with them on this gateway.
    pub(crate) async fn preview(&self, next: Next, named: Option<u64>) -> Result<Preview, Vec<String>> {
        let (wanted, file) = {
            let state = self.lock();
            let wanted = state.wanted.in_force.number;
            if state.refused.is_some() && named != Some(wanted) {
                let what = format!("this gateway could not take version {wanted}, which is in force");
                return Err(vec![format!("{what}: ask another, or replace it with --from {wanted}")]);
            }
            (wanted, state.file.clone())
        };
        let (config, _) = self.read(file, next).await?;
        Ok(Preview { from: wanted, changes: self.changes(&config), warnings: lines(&config.warnings) })
    }

    /// What is different from the rooms that are in force here, and who loses a place by it.
    fn changes(&self, next: &Config) -> Vec<RoomChange> {
        let mut changes = difference(&self.shared.site.load().config.rooms, &next.rooms);
        for change in &mut changes {
            change.loses = change.loses.take().and_then(|loss| self.counted(loss));
        }
        changes
    }

    /// Who loses a place, if anybody does.
    fn counted(&self, loss: Loss) -> Option<Loss> {
        let live = self.shared.rooms.all();
        let snapshot = live.get(loss.line.as_str())?.snapshot();
        let view = snapshot.view.as_ref()?;
        // Who is called and has not entered yet waits as well.
        let (waiting, active_users) = (view.waiting() + view.claimants, view.active);
        (waiting + active_users > 0).then_some(Loss { waiting, active_users, ..loss })
    }

    /// Says who is about to lose a place, as long as it is known.
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
        // At the start nobody asks the store yet.
        if self.shared.ready.load(Ordering::Relaxed) {
            self.shared.rooms.first_answers(FIRST_ANSWER).await;
        }
        Ok(site)
    }
}

/// Says that the rooms of a file count for nothing while a version is in force, and loudly so of an edit.
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
        Next::Text(text) => file.with_rooms(text, "rooms.toml", folder),
        Next::Kept(version) => file.with_kept_rooms(&version.text, &version.name(), folder),
        Next::File => Ok(file),
    };
    let config = config.map_err(|all| lines(&all))?;
    let files = Files::read(&config).map_err(|error| vec![format!("{error:#}")])?;
    Ok((config, files))
}

fn lines(diagnostics: &[crate::config::Diagnostic]) -> Vec<String> {
    diagnostics.iter().map(ToString::to_string).collect()
}
