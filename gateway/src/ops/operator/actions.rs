//! Actions on a room, as `weir pause` and its like ask for them, and the audit.

use anyhow::bail;
use http::{Method, StatusCode};
use policy::audit::hex;
use serde_json::json;
use std::fmt::Write as _;

use super::{Operator, difference, refusal};
use crate::ops::admin::actions::{Acted, Asked, Place};

/// An action with what it takes.
#[derive(Debug, Default)]
pub struct Command {
    /// The action, as in addresses.
    pub action: &'static str,
    /// The room.
    pub room: String,
    /// Why, for those who read the audit.
    pub why: String,
    /// Of rate and seats.
    pub to: Option<String>,
    /// Of open.
    pub minutes: Option<u64>,
    /// Of message: language and text.
    pub message: Option<Vec<(String, String)>>,
    /// Of let-in.
    pub shoppers: Option<u64>,
    /// Of start-event.
    pub event: Option<String>,
    /// Of revoke.
    pub pass: Option<String>,
    /// The version that must be in force.
    pub from: Option<u64>,
}

impl Operator {
    /// Does it, and tells what each gateway says.
    ///
    /// # Errors
    /// If it is refused, or a gateway did not take it.
    pub async fn act(&self, command: Command) -> anyhow::Result<String> {
        let Command { action, room, why, to, minutes, message, shoppers, event, pass, from } = command;
        let asked = Asked {
            why,
            id: Some(one_time_id()?),
            // The name was typed: it stands in the command.
            confirm: Some(room.clone()),
            to: to.map(|to| json!(to)),
            minutes,
            message: message.map(|texts| texts.into_iter().collect()),
            shoppers,
            event,
            pass,
        };
        let path = format!("/api/rooms/{}/actions/{action}", encoded(&room));
        let acted: Acted = self.do_with(&path, serde_json::to_string(&asked)?, from).await?;
        let told = told(&acted);
        if acted.gateways.iter().any(|gateway| gateway.in_force_after.is_none()) {
            bail!("{told}not every gateway has it");
        }
        Ok(told)
    }

    /// The last lines of the audit that the gateway saw, as they are kept.
    ///
    /// # Errors
    /// If the gateway does not answer.
    pub async fn audit(&self) -> anyhow::Result<String> {
        let (status, body) = self.send(Method::GET, "/api/audit", String::new()).await?;
        if status != StatusCode::OK {
            bail!(refusal(status, &body));
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

/// What was done, for people.
fn told(acted: &Acted) -> String {
    let Acted { room, action, label, open_to_all_until, from, version, changes, place, gateways, audit, .. } = acted;
    let until = open_to_all_until.as_deref().map(|until| format!(" until {until}")).unwrap_or_default();
    let mut told = if action == "revoke" {
        format!("revoked in room {room:?}, which is {label}{until}\n")
    } else if let Some(place) = place {
        let Place { id, path, until: end, .. } = place;
        format!(
            "place {id} is given in room {room:?}, which is {label}{until}; until {end} the shopper takes it at\n  {path}\non the host of the room\n"
        )
    } else if from == version {
        format!("nothing to do: room {room:?} is {label}{until}\n")
    } else {
        format!("{}room {room:?} is {label}{until}, version {version}\n", difference(changes))
    };
    for gateway in gateways {
        let _ = writeln!(told, "  {}: {}", gateway.gateway, gateway.says);
    }
    let _ = writeln!(told, "  audit: line {} {}", audit.number, audit.hash);
    told
}

/// A text that no other action has: 128 random bits.
fn one_time_id() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    Ok(hex(&bytes))
}

/// A name inside a path: what is no name of a room is not found, and not another path.
fn encoded(room: &str) -> String {
    form_urlencoded::byte_serialize(room.as_bytes()).collect::<String>().replace('+', "%20")
}
