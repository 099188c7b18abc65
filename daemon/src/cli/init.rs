//! `nacre init`: the first user, a workspace and a profile in one go, on a data folder that no server uses.

use std::error::Error;
use std::io::{BufRead, IsTerminal, Write};

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::config::{Config, Registration};
use crate::demo::random_password;
use crate::server::problem::Problem;
use crate::state::AppState;
use crate::store::{ReadTx, WriteTx};
use crate::workspaces::settings::{self, Change};
use crate::workspaces::{self, profiles};

/// What to make.
#[derive(Debug, clap::Args)]
pub(super) struct InitArgs {
    /// E-mail address of the first user; asked for on a terminal.
    #[arg(long)]
    email: Option<String>,
    /// Reads the password from the first line of standard input; otherwise one is made and shown once.
    #[arg(long)]
    password_stdin: bool,
    /// Name of the workspace.
    #[arg(long, default_value = "main")]
    workspace: String,
    /// Name of the profile.
    #[arg(long, default_value = "main")]
    profile: String,
    /// Currency of the books (ISO 4217).
    #[arg(long, default_value = "USD")]
    fiat_currency: String,
    /// FIFO, LIFO, HIFO, LOFO, AVG_COST or UK_S104.
    #[arg(long, default_value = "FIFO")]
    gains_algorithm: String,
    /// Time zone that decides days and tax years (IANA name).
    #[arg(long, default_value = "UTC")]
    timezone: String,
}

/// Makes them and prints their ids.
pub(super) fn run(mut config: Config, args: InitArgs) -> Result<(), Box<dyn Error>> {
    // Whoever may write to the data folder may add users to it.
    config.registration = Registration::Open;
    let email = match &args.email {
        Some(email) => email.clone(),
        None => ask_email()?,
    };
    let given = args.password_stdin.then(read_password).transpose()?;
    let made = given.is_none();
    let folder = config.data_dir.display().to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let state = AppState::open(config).await?;
        let words = |problem: Problem| problem.message().to_owned();
        let password = given.map_or_else(random_password, Ok).map_err(words)?;
        let done = make(&state, email.clone(), password.clone(), args).await.map_err(words)?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "data folder   {folder}\nuser          {email}")?;
        if made {
            writeln!(out, "password      {} (shown only now)", password.as_str())?;
        }
        writeln!(out, "workspace_id  {}\nprofile_id    {}", done.0, done.1)?;
        writeln!(out, "Start the server with: nacre --data-dir '{folder}' serve")?;
        Ok(())
    })
}

async fn make(
    state: &AppState,
    email: String,
    password: Zeroizing<String>,
    args: InitArgs,
) -> Result<(Uuid, Uuid), Problem> {
    let labels = (args.workspace.clone(), args.profile.clone());
    let change = || Change {
        fiat_currency: Some(args.fiat_currency.clone()),
        gains_algorithm: Some(args.gains_algorithm.clone()),
        timezone: Some(args.timezone.clone()),
        ..Change::default()
    };
    // A user is made in a transaction of its own: find every mistake before.
    workspaces::checked_label("workspace", &labels.0)?;
    workspaces::checked_label("profile", &labels.1)?;
    let first = change();
    let check = move |tx: &ReadTx| first.apply(tx, Uuid::nil(), &mut settings::defaults());
    state.store.read::<_, Problem, _>(check).await?;
    let (user, _) = state.identity.register(email, password).await?;
    let change = change();
    let write = move |tx: &WriteTx| {
        let (workspace, _) = workspaces::create(tx, user, &labels.0)?;
        let (profile, _) = profiles::create(tx, user, workspace, ("profile", &labels.1), change)?;
        Ok((workspace, profile))
    };
    state.store.write::<_, Problem, _>(write).await
}

fn ask_email() -> Result<String, Box<dyn Error>> {
    if !std::io::stdin().is_terminal() {
        return Err("say who the first user is with --email".into());
    }
    eprint!("E-mail address of the first user: ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

fn read_password() -> Result<Zeroizing<String>, Box<dyn Error>> {
    let mut line = Zeroizing::new(String::new());
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}
