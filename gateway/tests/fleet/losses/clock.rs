//! A gateway or a Redis whose wall clock can be set while it runs, by libfaketime. Its monotonic clock goes on, as that of a
//! real machine does.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::common::redis::{Environment, RedisServer};
use crate::common::{WEIR, Weir, until};

/// The clock of one program.
pub(crate) struct Clock {
    dir: tempfile::TempDir,
}

impl Clock {
    /// One that is right so far.
    pub(crate) fn new() -> Self {
        let clock = Self { dir: tempfile::tempdir().unwrap() };
        clock.set("+0");
        clock
    }

    /// A gateway that lives by this clock.
    pub(crate) fn weir(&self) -> Command {
        let mut command = Command::new(WEIR);
        command.envs(self.environment(library().into_os_string()));
        command
    }

    /// A Redis that lives by it. The allocator that it brings asks for the time before libfaketime is ready: that of the C library is put in its
    /// place.
    pub(crate) fn redis(&self) -> RedisServer {
        let mut libraries = library().into_os_string();
        libraries.push(" libc.so.6");
        RedisServer::within(&self.environment(libraries), String::new)
    }

    fn environment(&self, libraries: OsString) -> Environment {
        // It looks at the file once a second.
        let second = ("FAKETIME_CACHE_DURATION", "1".into());
        let keeps =
            ["NO_FAKE_STAT", "FAKETIME_DONT_FAKE_MONOTONIC", "DONT_FAKE_MONOTONIC"].map(|name| (name, "1".into()));
        let clock = [("LD_PRELOAD", libraries), ("FAKETIME_TIMESTAMP_FILE", self.file().into_os_string()), second];
        clock.into_iter().chain(keeps).collect()
    }

    /// Puts it on or back by this much, as `+1h`.
    pub(crate) fn set(&self, by: &str) {
        // By another name first: a file that is half written would be read.
        let written = self.dir.path().join("next");
        std::fs::write(&written, format!("{by}\n")).unwrap();
        std::fs::rename(written, self.file()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("clock")
    }
}

/// Waits until the gateway's own clock is off by this many seconds, to within a minute: it stamps what it logs.
pub(crate) fn shows(weir: &Weir, off: i64) {
    until("the clock of the gateway has jumped", || {
        // It reads its configuration anew, and says so.
        weir.signal("HUP");
        let log = weir.log();
        let last: serde_json::Value = serde_json::from_str(log.lines().last()?).unwrap();
        let stamp = OffsetDateTime::parse(last["timestamp"].as_str()?, &Rfc3339).unwrap();
        ((stamp - OffsetDateTime::now_utc()).whole_seconds().abs_diff(off) < 60).then_some(())
    });
}

/// The library, which Debian keeps in a folder of the machine's architecture.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten().map(|folder| folder.path());
    let mut libraries = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    libraries.find(|library| library.exists()).unwrap_or_else(|| panic!("libfaketime is missing (deploy/tools test)"))
}
