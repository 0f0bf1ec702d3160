//! A child process that does not outlive this one, in a folder of its own that goes with it.
//!
//! It ends when its [`Child`] is dropped, so also on an error or a panic. If this program is killed outright, the
//! kernel ends it (`setpriv --pdeathsig`, of util-linux; on a system without it, it lives on). Ctrl-C does not reach
//! it: it has a process group of its own, and the run decides when to end it.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

/// How long it may take to start.
const START: Duration = Duration::from_secs(15);
/// How long it may take to stop when asked to.
const STOP: Duration = Duration::from_secs(5);
/// How often its log is read while it starts.
const LOOK: Duration = Duration::from_millis(20);
/// By how much the priority of a gateway is below that of the crowd (`nice`). Attacks are further down.
const BELOW_THE_CROWD: i32 = 5;
/// Lines of its log that are shown when it fails.
const LOG_LINES: usize = 15;

/// A running process.
pub(crate) struct Child {
    name: &'static str,
    process: process::Child,
    folder: TempDir,
}

/// A folder for a child.
pub(crate) fn folder() -> anyhow::Result<TempDir> {
    tempfile::Builder::new().prefix("loadtest-").tempdir().context("no folder for a child process")
}

/// A command that the kernel ends with this program. It has to be started on a thread that lives as long as the
/// program: the kernel counts threads.
pub(crate) fn command(program: &Path) -> Command {
    let Some(setpriv) = find("setpriv") else { return Command::new(program) };
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// As [`command`], at a lower priority than the crowd: on a machine that has less than both need, the gateway waits,
/// and the crowd's requests are sent in time.
pub(crate) fn command_below_the_crowd(program: &Path) -> Command {
    let (command, Some(nice)) = (command(program), find("nice")) else { return command(program) };
    let mut lower = Command::new(nice);
    lower.args(["-n", &BELOW_THE_CROWD.to_string()]).arg(command.get_program()).args(command.get_args());
    lower
}

/// A program of this name in the `PATH`.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

impl Child {
    /// Starts it; what it prints goes into a file.
    pub(crate) fn start(name: &'static str, mut command: Command, folder: TempDir) -> anyhow::Result<Self> {
        let log = File::create(folder.path().join("log"))?;
        let process = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, process, folder })
    }

    /// Waits until something stands in its log.
    pub(crate) async fn says<T>(&mut self, found: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        let waiting = async {
            loop {
                if let Some(found) = self.log().lines().find_map(&found) {
                    return Ok(found);
                }
                self.check()?;
                sleep(LOOK).await;
            }
        };
        match timeout(START, waiting).await {
            Ok(said) => said,
            Err(_) => bail!("{} was not ready within {} s. {}", self.name, START.as_secs(), self.end_of_log()),
        }
    }

    /// An error if it has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.process.try_wait()? {
            Some(status) => bail!("{} ended by itself ({status}). {}", self.name, self.end_of_log()),
            None => Ok(()),
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    fn runs(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// What it has written so far.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn end_of_log(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
        format!("Its log ends with:\n{}", last.join("\n"))
    }

    /// Asks it to stop, and makes it if it does not.
    pub(crate) async fn stop(mut self) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid.filter(|_| self.runs()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let ended = async {
            while self.runs() {
                sleep(LOOK).await;
            }
        };
        let _ = timeout(STOP, ended).await;
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_child_says_is_heard_and_its_end_is_told_with_its_last_words() {
        let mut shell = command(Path::new("/bin/sh"));
        shell.args(["-c", "echo at 7; echo no luck >&2; exit 5"]);
        let mut child = Child::start("the child", shell, folder().unwrap()).unwrap();
        let at = child.says(|line| line.strip_prefix("at ")?.parse::<u32>().ok()).await.unwrap();
        assert_eq!(at, 7);
        let error = child.says(|line| line.strip_prefix("never").map(drop)).await.unwrap_err().to_string();
        assert!(error.contains("exit status: 5") && error.contains("no luck"), "{error}");
    }

    #[tokio::test]
    async fn a_gateway_gives_way_to_the_crowd() {
        let mut priorities = Vec::new();
        for mut shell in [command(Path::new("/bin/sh")), command_below_the_crowd(Path::new("/bin/sh"))] {
            shell.args(["-c", "echo nice $(nice)"]);
            let mut child = Child::start("the child", shell, folder().unwrap()).unwrap();
            priorities.push(child.says(|line| line.strip_prefix("nice ")?.parse::<i32>().ok()).await.unwrap());
        }
        assert_eq!(priorities[1], (priorities[0] + BELOW_THE_CROWD).min(19));
    }
}
