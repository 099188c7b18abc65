//! Child processes that never outlive their owner, and waiting with a limit.
//!
//! A [`Supervised`] child writes its output to files, so it can never block on a full pipe and a failed wait can quote
//! what it said. Dropping it kills it. Signals go through the `kill` command, because `unsafe` is forbidden here.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{HarnessError, Result};

const POLL: Duration = Duration::from_millis(20);

/// Where ports are taken from: below the range from which the kernel draws the local ends of connections
/// (`ip_local_port_range`, 32768 and up where nobody changed it). A port found there by binding port 0 can be
/// taken by any connection before its server binds it.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// How many ports this process has looked at.
static LOOKED_AT: AtomicU16 = AtomicU16::new(0);

/// A loopback TCP port that is free now, that this process has not handed out before, and that no connection
/// is given by the kernel.
///
/// # Errors
/// When no port is free.
pub fn free_port() -> Result<u16> {
    let span = u32::from(PORTS.end - PORTS.start);
    // Processes start far apart, so that two test programs at once rarely look at the same port.
    let start = std::process::id().wrapping_mul(977);
    for _ in 0..span {
        let step = u32::from(LOOKED_AT.fetch_add(1, Ordering::Relaxed));
        let offset = u16::try_from(start.wrapping_add(step) % span).unwrap_or_default();
        let port = PORTS.start + offset;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(HarnessError::Failed(format!("no free port in {PORTS:?}")))
}

/// Asks `ready` every 20 ms until it yields a value.
///
/// # Errors
/// [`HarnessError::Timeout`] after `limit`; an error of `ready` at once.
pub fn wait_until<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = ready()? {
            return Ok(value);
        }
        if start.elapsed() > limit {
            return Err(HarnessError::Timeout { what: what.into(), waited_ms: start.elapsed().as_millis() });
        }
        thread::sleep(POLL);
    }
}

/// A running child with its output in `<name>.out` and `<name>.err`.
#[derive(Debug)]
pub struct Supervised {
    name: String,
    child: Child,
    folder: PathBuf,
}

impl Supervised {
    /// Starts `command` with no input and with its output appended to files in `folder`.
    ///
    /// # Errors
    /// When the files or the process cannot be created.
    pub fn spawn(name: &str, mut command: Command, folder: &Path) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .stdout(append(&folder.join(format!("{name}.out")))?)
            .stderr(append(&folder.join(format!("{name}.err")))?)
            .spawn()
            .map_err(HarnessError::io(format!("start {name}")))?;
        Ok(Self { name: name.into(), child, folder: folder.into() })
    }

    /// The operating system's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything written to standard output so far, over all starts in the same folder.
    pub fn stdout(&self) -> String {
        read_lossy(&self.folder.join(format!("{}.out", self.name)))
    }

    /// Everything written to standard error so far, over all starts in the same folder.
    pub fn stderr(&self) -> String {
        read_lossy(&self.folder.join(format!("{}.err", self.name)))
    }

    /// The exit status, if it has ended.
    ///
    /// # Errors
    /// When the operating system cannot tell.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().map_err(HarnessError::io(format!("ask for the state of {}", self.name)))
    }

    /// Waits until `ready` says so while the child lives.
    ///
    /// # Errors
    /// When the child ends first or `limit` passes; both quote the end of its output.
    pub fn wait_ready(&mut self, limit: Duration, mut ready: impl FnMut(&Self) -> bool) -> Result<()> {
        let what = format!("{} to be ready", self.name);
        let outcome = wait_until(&what, limit, || {
            if let Some(status) = self.exit_status()? {
                return Err(HarnessError::Failed(format!("{} ended with {status}", self.name)));
            }
            Ok(ready(self).then_some(()))
        });
        outcome.map_err(|error| {
            let (out, err) = (self.stdout(), self.stderr());
            HarnessError::Failed(format!("{error}\nstdout: {}\nstderr: {}", tail(&out), tail(&err)))
        })
    }

    /// SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn kill_hard(&mut self) -> Result<()> {
        self.child.kill().map_err(HarnessError::io(format!("kill {}", self.name)))?;
        self.child.wait().map_err(HarnessError::io(format!("wait for {}", self.name)))?;
        Ok(())
    }

    /// SIGTERM, and waits up to `limit` for an orderly end.
    ///
    /// # Errors
    /// When the signal cannot be sent or the child does not end in time.
    pub fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal("-TERM")?;
        wait_until(&format!("{} to end after SIGTERM", self.name), limit, || self.exit_status())
    }

    /// SIGSTOP: it keeps its sockets and answers nobody, until it is killed.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn freeze(&mut self) -> Result<()> {
        self.signal("-STOP")
    }

    /// Sends a signal; that the child has ended already is no error.
    fn signal(&mut self, option: &str) -> Result<()> {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args([option, &pid]).status();
        let sent = sent.map_err(HarnessError::io("run the kill command"))?;
        if !sent.success() && self.exit_status()?.is_none() {
            return Err(HarnessError::Failed(format!("kill {option} {pid} failed")));
        }
        Ok(())
    }

    /// Resident memory in KiB, as the kernel reports it.
    ///
    /// # Errors
    /// When the process is gone or the kernel has no such line.
    pub fn rss_kib(&self) -> Result<u64> {
        self.status_kib("VmRSS:")
    }

    /// The highest resident memory so far in KiB.
    ///
    /// # Errors
    /// As for [`Self::rss_kib`].
    pub fn peak_rss_kib(&self) -> Result<u64> {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, field: &str) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid());
        let status = fs::read_to_string(&path).map_err(HarnessError::io(format!("read {path}")))?;
        let value = status.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next());
        value
            .and_then(|kib| kib.parse().ok())
            .ok_or_else(|| HarnessError::Failed(format!("{path} has no {field}; has the process ended?")))
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        // Errors mean that it is already gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn append(path: &Path) -> Result<File> {
    let file = File::options().create(true).append(true).open(path);
    file.map_err(HarnessError::io(format!("open {}", path.display())))
}

fn read_lossy(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shell(script: &str, folder: &Path) -> Supervised {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Supervised::spawn("sh", command, folder).unwrap()
    }

    #[test]
    fn a_dropped_child_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let child = shell("exec sleep 100", folder.path());
        let proc_folder = PathBuf::from(format!("/proc/{}", child.pid()));
        assert!(proc_folder.exists() && child.rss_kib().unwrap() > 0);
        drop(child);
        assert!(!proc_folder.exists());
    }

    #[test]
    fn a_child_that_ends_early_is_an_error_that_quotes_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = shell("echo no such coin >&2; exit 3", folder.path());
        let error = child.wait_ready(Duration::from_secs(10), |_| false).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("no such coin"), "{error}");
    }

    #[test]
    fn terminate_lets_the_child_finish() {
        let folder = tempfile::tempdir().unwrap();
        let mut child =
            shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done", folder.path());
        child.wait_ready(Duration::from_secs(10), |c| c.stdout().contains("up")).unwrap();
        assert!(child.terminate(Duration::from_secs(10)).unwrap().success());
        assert!(child.stdout().contains("bye"));
    }

    #[test]
    fn ports_are_handed_out_once() {
        let ports: std::collections::BTreeSet<_> = (0..50).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 50);
    }
}
