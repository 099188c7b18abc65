//! The command line: one file per command group. This file only parses and dispatches.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage or settings.

mod backup;
mod compact;
mod demo;
mod folder;
mod init;
mod rebuild;
mod restore;
mod serve;
mod table;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, Flags};

/// Nacre keeps exact Bitcoin books on your own machine.
#[derive(Debug, Parser)]
#[command(name = "nacre", version, about)]
struct Cli {
    #[command(flatten)]
    settings: SettingFlags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the REST API until SIGTERM or SIGINT.
    Serve,
    /// Make the first user, a workspace and a profile.
    Init(init::InitArgs),
    /// Serve example books from a folder of their own (./nacre-demo) and say what to try.
    Demo,
    /// Audit every book of the data folder; exit code 1 when something does not hold.
    Verify,
    /// Copy the whole data folder, served or not, into a new folder with a manifest.
    Backup(backup::BackupArgs),
    /// Check a backup and put it into an empty data folder.
    Restore(restore::RestoreArgs),
    /// Rewrite the files of a data folder whose server is stopped without their free space.
    Compact(folder::Which),
    /// Derive the books of a data folder whose server is stopped anew from their facts.
    Rebuild(folder::Which),
}

/// Settings that may be given as flags of any command; all others live in `nacre.toml` or the environment.
#[derive(Debug, clap::Args)]
struct SettingFlags {
    /// Folder with the data and nacre.toml (NACRE_DATA_DIR).
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// Address to accept requests on (NACRE_LISTEN, default 127.0.0.1:8080).
    #[arg(long, global = true, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Address under which clients reach this server (NACRE_PUBLIC_URL).
    #[arg(long, global = true, value_name = "URL")]
    public_url: Option<String>,
    /// Who may register: open or closed (NACRE_REGISTRATION).
    #[arg(long, global = true, value_name = "MODE")]
    registration: Option<String>,
    /// Log filter (NACRE_LOG, default info).
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
}

impl SettingFlags {
    fn into_flags(self) -> Flags {
        [
            ("data_dir", self.data_dir),
            ("listen", self.listen),
            ("public_url", self.public_url),
            ("registration", self.registration),
            ("log", self.log),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
        .collect()
    }
}

/// Parses the process's arguments, runs the command and returns its exit code.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let mut flags = cli.settings.into_flags();
    if matches!(cli.command, Command::Demo) {
        // Never the folder of real books that the environment may name.
        flags.entry("data_dir").or_insert_with(|| demo::FOLDER.to_owned());
    }
    let config = match Config::load(&flags) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("nacre: {errors}");
            return ExitCode::from(2);
        }
    };
    let outcome = match cli.command {
        Command::Serve => serve::run(config),
        Command::Init(args) => init::run(config, args),
        Command::Demo => demo::run(config),
        Command::Verify => verify::run(&config),
        Command::Backup(args) => backup::run(&config, &args),
        Command::Restore(args) => restore::run(&config, &args),
        Command::Compact(which) => compact::run(&config, &which),
        Command::Rebuild(which) => rebuild::run(&config, &which),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nacre: {error}");
            ExitCode::FAILURE
        }
    }
}
