//! The registry in Redis: six keys of one hash tag, apart from those of every room.

use std::sync::Arc;

use policy::audit::Head;
use redis::{FromRedisValue, Script, ScriptInvocation};

use super::connect::Connection;
use super::{Idle, Redis, failed, in_this_format};
use crate::line::store::registry::{
    Change, Heartbeat, HeartbeatReply, InForce, KEPT, KEPT_LINES, Link, PAGE_OF_LINES, Registry, SILENCE, Switched,
    Version,
};
use crate::line::store::{Answer, FORMAT, StoreError};

const EXCHANGE: &str = include_str!("exchange.lua");
const KEPT_VERSIONS: &str = include_str!("versions.lua");
const SWITCH: &str = include_str!("switch.lua");
const AUDIT: &str = include_str!("audit.lua");

/// The key with the format of the others.
const WHICH_FORMAT: &str = "weir:rooms:{versions}:gateways";

/// A key of state shared by gateways besides lines. No room has a name with a colon: its keys begin with `weir:{`.
pub(super) fn key(name: &str) -> String {
    format!("weir:rooms:{{versions}}:{FORMAT}:{name}")
}

/// The scripts of the registry. Every gateway runs the first of them before any other, so that one checks the format.
pub(super) struct Scripts {
    exchange: Script,
    versions: Script,
    switch: Script,
    audit: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let [versions, switch, audit] = [KEPT_VERSIONS, SWITCH, AUDIT].map(Script::new);
        Self { exchange: in_this_format(EXCHANGE), versions, switch, audit }
    }
}

impl Registry for Redis {
    fn exchange(&self, heartbeat: Heartbeat) -> Answer<'_, HeartbeatReply> {
        Box::pin(async move {
            let mut call = self.registry.exchange.key(WHICH_FORMAT);
            call.key(key("in_force"))
                .key(key("texts"))
                .key(key("gateways"))
                .key(key("audit_head"))
                .arg(format!("{:08x}", heartbeat.incarnation))
                .arg(&heartbeat.text);
            call.arg(heartbeat.knows.switch).arg(SILENCE.as_millis() as u64);
            let (switch, number, version, gateways, audit, now): (u64, u64, String, Vec<String>, String, u64) =
                self.ask(&self.board_idle, &call).await?;
            let version = if version.is_empty() { None } else { Some(version_of(number, &version)?) };
            Ok(HeartbeatReply { in_force: InForce { switch, number }, version, gateways, audit: head_of(&audit)?, now })
        })
    }

    fn versions(&self) -> Answer<'_, Vec<Version>> {
        Box::pin(async move {
            let call = self.registry.versions.key(key("texts"));
            let rows: Vec<(u64, String)> = self.ask_anew(&call).await?;
            let versions = rows.iter().map(|(number, row)| version_of(*number, row));
            let mut versions = versions.collect::<Result<Vec<_>, _>>()?;
            versions.sort_unstable_by_key(|version| version.number);
            Ok(versions)
        })
    }

    fn record(&self, from: InForce, change: Change, link: Option<Link>) -> Answer<'_, Switched> {
        Box::pin(async move {
            let mut call = self.registry.switch.key(key("in_force"));
            call.key(key("texts")).key(key("audit")).key(key("audit_head"));
            call.arg(pair(from)).arg(KEPT).arg(KEPT_LINES);
            match &link {
                Some(Link { behind, line }) => {
                    call.arg(written(behind)).arg(written(&line.head)).arg(&line.text);
                }
                None => {
                    call.arg("").arg("").arg("");
                }
            }
            match &change {
                Change::Add(text) => call.arg("add").arg(&**text),
                Change::To(number) => call.arg("to").arg(number),
                Change::Restore(lost, version) => {
                    let row = version.as_ref().map(|version| format!("{} {}", version.made, version.text));
                    call.arg("restore").arg(pair(*lost)).arg(lost.number).arg(row.unwrap_or_default())
                }
                Change::Nothing => call.arg("nothing"),
            };
            let (word, present): (String, String) = self.ask_anew(&call).await?;
            Ok(match word.as_str() {
                "now" => Switched::Now(in_force_of(&present)?),
                "other" => Switched::Other(in_force_of(&present)?),
                "behind" => Switched::Behind(head_of(&present)?),
                _ => Switched::Unknown,
            })
        })
    }

    fn audit(&self, from: u64) -> Answer<'_, Vec<String>> {
        Box::pin(async move {
            let mut call = self.registry.audit.key(key("audit"));
            call.key(key("audit_head")).arg(from).arg(PAGE_OF_LINES);
            self.ask_anew(&call).await
        })
    }
}

impl Redis {
    /// A call on a connection of its own: an operator's, which nothing repeats. A kept connection may have been closed
    /// by the server since.
    async fn ask_anew<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Result<T, StoreError> {
        self.ask(&Idle::default(), call).await
    }

    async fn ask<T: FromRedisValue>(&self, idle: &Idle, call: &ScriptInvocation<'_>) -> Result<T, StoreError> {
        let run = |mut connection: Connection| async move {
            connection.run(call).await.map_err(|error| self.refused(error, WHICH_FORMAT))
        };
        self.on(idle, run).await
    }
}

fn pair(InForce { switch, number }: InForce) -> String {
    format!("{switch} {number}")
}

fn in_force_of(text: &str) -> Result<InForce, StoreError> {
    let numbers = text.split_once(' ').and_then(|(switch, number)| Some((switch.parse().ok()?, number.parse().ok()?)));
    let (switch, number) = numbers.ok_or_else(|| failed("what is in force is not two numbers"))?;
    Ok(InForce { switch, number })
}

/// A head, as the store has it: "" where there is no line.
fn written(head: &Head) -> String {
    if head.number == 0 { String::new() } else { head.to_string() }
}

fn head_of(text: &str) -> Result<Head, StoreError> {
    if text.is_empty() {
        Ok(Head::default())
    } else {
        text.parse().map_err(|_| failed("the head of the audit is not one"))
    }
}

fn version_of(number: u64, row: &str) -> Result<Version, StoreError> {
    let parts = row.split_once(' ').and_then(|(made, text)| Some((made.parse().ok()?, text)));
    let (made, text) = parts.ok_or_else(|| failed("a version of the rooms is not one"))?;
    Ok(Version { number, made, text: Arc::from(text) })
}
