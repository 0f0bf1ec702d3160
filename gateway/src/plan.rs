//! What is meant to be in force: the file, the rooms by version, the keys.
//!
//! The one place that makes another [`Site`] while the gateway runs, whoever wants it: a changed file
//! ([`crate::reload`]), a version of the rooms in the store ([`crate::fleet`]), other keys. If the store
//! holds a version, its rooms stand in for those of the file. A version that this gateway cannot take, say
//! because its file has no such upstream, leaves the rooms as they are and is tried again with every change
//! of the file.
//!
//! What is absent: watching anything.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use policy::seal::Sealer;
use serde::{Deserialize, Serialize};

use crate::Shared;
use crate::config::{Config, RoomChange, difference};
use crate::site::Site;
use crate::store::board::{InForce, Version};
use crate::telemetry;

/// The plan of this gateway.
pub struct Plan {
    shared: Arc<Shared>,
    folder: PathBuf,
    state: Mutex<State>,
}

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
pub struct Refused {
    /// Its number.
    pub version: u64,
    /// Everything that is wrong with it here.
    pub why: Vec<String>,
}

/// What a gateway says of its rooms and keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The version of the rooms that is in force here; 0 are those of the file.
    pub rooms_version: u64,
    /// The version that is wanted and could not be taken.
    pub refused: Option<Refused>,
    /// Names of the keys that open tokens here; the first seals.
    pub keys: Vec<String>,
}

/// What a text of rooms would change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    /// The version in force that it was compared with.
    pub from: u64,
    /// What is different, room by room.
    pub changes: Vec<RoomChange>,
}

impl Plan {
    /// The plan that is in force at the start: `file` and nothing else.
    pub fn new(path: &Path, shared: Arc<Shared>, keys: Vec<String>) -> Self {
        let (file, folder) = (shared.site.load().config.clone(), path.parent().unwrap_or(Path::new("")).to_owned());
        let (wanted, taken) = (Rooms::default(), Rooms::default());
        Self { shared, folder, state: Mutex::new(State { file, wanted, taken, refused: None, keys }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file is this one now.
    ///
    /// # Errors
    /// Everything that is wrong with it and the rooms in force together; nothing has changed then.
    pub fn file(&self, file: Config) -> Result<(), Vec<String>> {
        let mut state = self.lock();
        let wanted = self.compile(&file, &state.wanted);
        let (site, refused) = match wanted {
            Ok(site) => {
                state.taken = state.wanted.clone();
                (site, None)
            }
            Err(why) if state.taken == state.wanted => return Err(why),
            Err(why) => {
                let version = state.wanted.in_force.number;
                (self.compile(&file, &state.taken)?, Some(Refused { version, why }))
            }
        };
        if !file.rooms.is_empty() && state.taken.in_force.number > 0 {
            let version = state.taken.in_force.number;
            tracing::info!(version, "the rooms are those of the store; the [[room]] tables of the file stand by");
        }
        (state.file, state.refused) = (file, refused);
        self.shared.site.store(Arc::new(site));
        Ok(())
    }

    /// The store says that this is in force now.
    pub fn switched(&self, in_force: InForce, version: Option<Version>) {
        let mut state = self.lock();
        state.wanted = Rooms { in_force, version };
        let site = self.compile(&state.file, &state.wanted);
        telemetry::reload("rooms", site.is_ok());
        match site {
            Ok(site) => {
                self.shared.site.store(Arc::new(site));
                (state.taken, state.refused) = (state.wanted.clone(), None);
                tracing::info!(version = in_force.number, "rooms in force");
            }
            Err(why) => {
                for problem in &why {
                    tracing::error!(version = in_force.number, problem, "rooms refused; the old ones stay");
                }
                state.refused = Some(Refused { version: state.wanted.in_force.number, why });
            }
        }
    }

    /// Tokens are sealed and opened with these keys now.
    pub fn keys(&self, sealer: Sealer, names: Vec<String>) {
        let mut state = self.lock();
        let site = self.shared.site.load().with_sealer(Arc::new(sealer));
        self.shared.site.store(Arc::new(site));
        tracing::info!(seals = names.first(), opens = ?names, "keys in force");
        state.keys = names;
    }

    /// What the store last said is in force, with its text if it has one.
    pub fn wanted(&self) -> (InForce, Option<Version>) {
        let state = self.lock();
        (state.wanted.in_force, state.wanted.version.clone())
    }

    /// What this gateway says of itself.
    pub fn report(&self) -> Report {
        let state = self.lock();
        let (refused, keys) = (state.refused.clone(), state.keys.clone());
        Report { rooms_version: state.taken.in_force.number, refused, keys }
    }

    /// Brings the gauges up to date.
    pub fn observe(&self) {
        let state = self.lock();
        telemetry::rooms_version(state.taken.in_force.number, state.wanted.in_force.number);
    }

    /// What would change if the rooms of `version` came in force; `None` stands for those of the file.
    ///
    /// # Errors
    /// Everything that is wrong with them on this gateway.
    pub fn preview(&self, text: Option<(&str, &str)>) -> Result<Preview, Vec<String>> {
        let state = self.lock();
        let wanted = state.wanted.in_force.number;
        if state.refused.is_some() {
            return Err(vec![format!("this gateway could not take version {wanted}, which is in force: ask another")]);
        }
        let config = match text {
            Some((text, name)) => state.file.with_rooms(text, name, &self.folder).map_err(|all| lines(&all))?,
            None => state.file.clone(),
        };
        Site::pages(&config).map_err(|error| vec![format!("{error:#}")])?;
        let before = self.shared.site.load();
        Ok(Preview { from: wanted, changes: difference(&before.config.rooms, &config.rooms) })
    }

    fn compile(&self, file: &Config, rooms: &Rooms) -> Result<Site, Vec<String>> {
        let before = self.shared.site.load();
        let config = match (rooms.in_force.number, &rooms.version) {
            (0, _) => file.clone(),
            (number, None) => return Err(vec![format!("the store has no text of version {number}")]),
            (number, Some(version)) => {
                let name = format!("version {number} of the rooms");
                file.with_rooms(&version.text, &name, &self.folder).map_err(|all| lines(&all))?
            }
        };
        let site = Site::compile(config, Some(&before), &self.shared.rooms, before.sealer.clone());
        site.map_err(|error| vec![format!("{error:#}")])
    }
}

fn lines(problems: &[crate::config::Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}
