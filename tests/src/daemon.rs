//! The real `nacre` binary, serving on loopback from a data folder the test owns.
//!
//! The folder outlives the process, so a test can kill, look at the files and start again. Ready means what a user would
//! see: the one line with the address on standard output. No `NACRE_` setting of the machine reaches it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use tempfile::TempDir;

use crate::error::{HarnessError, Result};
use crate::http::Client;
use crate::process::{Supervised, free_port};
use crate::programs::nacre_binary;

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// How to start the daemon.
#[derive(Debug, Clone)]
pub struct DaemonOptions {
    /// The folder with `system.redb` and the books; made by the daemon if absent.
    pub data_dir: PathBuf,
    /// Further arguments of `nacre serve`.
    pub args: Vec<String>,
    /// Settings as environment variables.
    pub env: Vec<(String, String)>,
    /// No file may become longer than so many bytes.
    pub file_size_max: Option<u64>,
}

impl DaemonOptions {
    /// Defaults on a data folder.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), args: Vec::new(), env: Vec::new(), file_size_max: None }
    }

    /// Adds one environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Adds one argument of `nacre serve`.
    #[must_use]
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.into());
        self
    }
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    process: Supervised,
    options: DaemonOptions,
    port: u16,
    output: TempDir,
}

impl Daemon {
    /// Starts `nacre serve` on a free port and waits until it accepts requests.
    ///
    /// # Errors
    /// When it cannot be built or does not come up; its output is in the error.
    pub fn start(options: DaemonOptions) -> Result<Self> {
        let mut daemon = Self::launch(options)?;
        daemon.wait_ready(0)?;
        Ok(daemon)
    }

    /// [`Self::start`] without waiting until it is ready, for tests that kill it before.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn launch(options: DaemonOptions) -> Result<Self> {
        let output =
            tempfile::tempdir().map_err(HarnessError::io("make a folder for the daemon's output"))?;
        let port = free_port()?;
        let process = spawn(&options, port, output.path())?;
        Ok(Self { process, options, port, output })
    }

    /// Starts it again on the same data and port, after [`Self::stop`] or [`Self::kill_hard`].
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn start_again(&mut self) -> Result<()> {
        let already_said = self.process.stdout().len();
        self.launch_again()?;
        self.wait_ready(already_said)
    }

    /// [`Self::start_again`] without waiting until it is ready, for tests that kill it before.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn launch_again(&mut self) -> Result<()> {
        self.process = spawn(&self.options, self.port, self.output.path())?;
        Ok(())
    }

    /// Waits for the address in what was printed after the first `already_said` bytes.
    fn wait_ready(&mut self, already_said: usize) -> Result<()> {
        let address = format!("127.0.0.1:{}", self.port);
        self.process.wait_ready(START_LIMIT, |process| {
            let said = process.stdout();
            // A complete line: the rest may still be on its way.
            said.get(already_said..).is_some_and(|new| new.contains(&address) && new.ends_with('\n'))
        })
    }

    /// From the next start on no file may become longer than `bytes`. Raised with [`Self::raise_file_size`].
    pub fn limit_file_size(&mut self, bytes: Option<u64>) {
        self.options.file_size_max = bytes;
    }

    /// Takes that limit off the running process.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn raise_file_size(&self) -> Result<()> {
        let pid = self.pid().to_string();
        let raised = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status();
        let raised = raised.map_err(HarnessError::io("run the prlimit command"))?;
        if raised.success() { Ok(()) } else { Err(HarnessError::Failed("prlimit failed".into())) }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// A client without credentials.
    pub fn client(&self) -> Client {
        Client::new(self.url())
    }

    /// The data folder.
    pub fn data_dir(&self) -> &Path {
        &self.options.data_dir
    }

    /// The operating system's process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When the operating system cannot tell.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.process.exit_status()?.is_none())
    }

    /// SIGKILL, as a power cut would.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn kill_hard(&mut self) -> Result<()> {
        self.process.kill_hard()
    }

    /// SIGTERM, and waits for the orderly end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.process.terminate(STOP_LIMIT)
    }

    /// Resident memory in KiB.
    ///
    /// # Errors
    /// When it is not running.
    pub fn rss_kib(&self) -> Result<u64> {
        self.process.rss_kib()
    }

    /// Highest resident memory so far in KiB.
    ///
    /// # Errors
    /// When it is not running.
    pub fn peak_rss_kib(&self) -> Result<u64> {
        self.process.peak_rss_kib()
    }

    /// All it has printed, standard output then standard error.
    pub fn output(&self) -> String {
        format!("{}{}", self.process.stdout(), self.process.stderr())
    }
}

/// Runs any `nacre` command to its end, such as `verify`; the output with its exit status.
///
/// # Errors
/// When it cannot be built or started.
pub fn run_nacre(args: &[&str]) -> Result<std::process::Output> {
    let output = without_settings(Command::new(nacre_binary()?)).args(args).output();
    output.map_err(HarnessError::io(format!("run nacre {}", args.join(" "))))
}

fn spawn(options: &DaemonOptions, port: u16, output: &Path) -> Result<Supervised> {
    let binary = nacre_binary()?;
    let mut command = match options.file_size_max {
        // The soft limit only. A write beyond it is an error only for those who ignore the signal.
        Some(bytes) => {
            let mut shell = Command::new("sh");
            let script = r#"trap '' XFSZ; exec prlimit --fsize="$0": "$@""#;
            shell.args(["-c", script, &bytes.to_string()]).arg(binary);
            shell
        }
        None => Command::new(binary),
    };
    command = without_settings(command);
    command
        .arg("serve")
        .arg("--data-dir")
        .arg(&options.data_dir)
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .args(&options.args)
        .envs(options.env.iter().map(|(name, value)| (name, value)));
    Supervised::spawn("nacre", command, output)
}

/// Takes the machine's own `NACRE_` settings out of the child's environment.
fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("NACRE_") {
            command.env_remove(name);
        }
    }
    command
}
