//! What happens, for those who follow it: a line of the log, and a JSON object.

use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

use serde::Serialize;

/// One event, as `events --json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Notice {
    version: u32,
    /// RFC 3339.
    time: String,
    pub(super) event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    door: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) count: Option<u64>,
}

impl Notice {
    pub fn new(event: &'static str) -> Self {
        Self {
            version: 1,
            time: now(),
            event,
            address: None,
            door: None,
            interface: None,
            stage: None,
            kind: None,
            reason: None,
            count: None,
        }
    }

    pub fn of(event: &'static str, address: IpAddr, door: &str) -> Self {
        Self { door: Some(door.to_owned()), ..Self::new(event) }.address(address)
    }

    pub fn address(self, address: IpAddr) -> Self {
        Self { address: Some(address), ..self }
    }

    pub fn door(self, door: &str) -> Self {
        Self { door: Some(door.to_owned()), ..self }
    }

    pub fn interface(self, name: impl fmt::Display) -> Self {
        Self { interface: Some(name.to_string()), ..self }
    }

    pub fn stage(self, stage: u32) -> Self {
        Self { stage: Some(stage), ..self }
    }

    pub fn kind(self, kind: &'static str) -> Self {
        Self { kind: Some(kind), ..self }
    }

    pub fn reason(self, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }

    pub fn count(self, count: u64) -> Self {
        Self { count: Some(count), ..self }
    }
}

/// RFC 3339, in milliseconds.
pub(super) fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}
