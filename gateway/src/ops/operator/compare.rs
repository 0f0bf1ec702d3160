//! The effect of a file on the running gateway and its people in line, before the file is in force.
//!
//! Out of scope: whether the gateway runs with this very file; it is the one at the file's `listen.admin`.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use http::Method;
use serde::Deserialize;
use tokio::time::timeout;

use super::Operator;
use crate::ops::admin::versions::Versions;
use crate::settings::config::{Config, Loss, RoomChange, difference};

/// Bound on the whole comparison: it is an extra, so it must not keep the operator waiting.
const PATIENCE: Duration = Duration::from_secs(3);

/// A room of the gateway, as far as it is compared.
#[derive(Debug, Deserialize)]
struct Live {
    name: String,
    line: String,
    waiting: u64,
    claimants: u64,
    active_users: u64,
}

impl Operator {
    /// Warnings for the operator before this file is in force there, a sentence each.
    ///
    /// # Errors
    /// If no gateway answers, or not in time.
    pub async fn compare(&self, config: &Config, folder: &Path) -> anyhow::Result<Vec<String>> {
        let compared = async {
            let Versions { in_force, .. } = self.ask(Method::GET, "/api/versions", String::new()).await?;
            match in_force {
                0 => self.lost(config).await,
                number => self.overridden(number, config, folder).await,
            }
        };
        timeout(PATIENCE, compared).await.with_context(|| format!("no answer in time from {}", self.admin.address))?
    }

    /// People who would lose a place because no room of the file has their line.
    async fn lost(&self, config: &Config) -> anyhow::Result<Vec<String>> {
        let live: Vec<Live> = self.ask(Method::GET, "/api/rooms", String::new()).await?;
        let stays = |room: &Live| config.rooms.iter().any(|written| written.line() == room.line);
        let told = |Live { name, line, waiting, claimants, active_users }: Live| {
            let (waiting, kept_by) = (waiting + claimants, format!("previous_name = {line:?}"));
            let loss = Loss { line, waiting, active_users, kept_by };
            format!("room {name:?} is live at {} and not in this file: {loss}", self.admin.address)
        };
        let lost = |room: &Live| !stays(room) && room.waiting + room.claimants + room.active_users > 0;
        Ok(live.into_iter().filter(lost).map(told).collect())
    }

    /// The rooms of the file that differ from the version that goes before them.
    async fn overridden(&self, number: u64, config: &Config, folder: &Path) -> anyhow::Result<Vec<String>> {
        let name = format!("version {number} of the rooms");
        let text = self.text(number).await?;
        let admin = &self.admin.address;
        let kept = match config.with_kept_rooms(&text, &name, folder) {
            Ok(kept) => kept,
            Err(problems) => {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                let problems = problems.join("; ");
                return Ok(vec![format!("{name} is in force at {admin} and cannot be with this file: {problems}")]);
            }
        };
        let edits = difference(&kept.rooms, &config.rooms);
        if edits.is_empty() || config.rooms.is_empty() {
            return Ok(Vec::new());
        }
        let edits: Vec<String> = edits.iter().map(RoomChange::to_string).collect();
        Ok(vec![format!(
            "{name} is in force at {admin}, so the [[room]] tables of this file count for nothing; they say otherwise: {}; put \
             rooms in force with weir apply, or go back to the file with weir rollback --to 0",
            edits.join("; ")
        )])
    }
}
