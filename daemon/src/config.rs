//! The settings: file `nacre.toml` in the data folder, overridden by the environment, overridden by flags.
//!
//! Invariant: every mistake in every source is reported at once, naming the source and the setting, and a
//! [`Config`] that exists is valid. It refuses unknown keys in the file.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Who may create an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Anyone who reaches the server.
    Open,
    /// Nobody.
    Closed,
    /// The first user only; chosen by default when listening beyond loopback.
    FirstUserOnly,
}

/// Effective, validated settings of one server.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder that holds `system.redb`, `books/` and `nacre.toml`.
    pub data_dir: PathBuf,
    /// Address to accept requests on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Address under which clients reach the server, without a trailing slash.
    pub public_url: Option<String>,
    /// Who may register.
    pub registration: Registration,
    /// Requests served at the same time; more are answered 503.
    pub max_concurrent_requests: usize,
    /// Time one request may take, in seconds.
    pub request_timeout_secs: u64,
    /// CSV exports streamed at the same time.
    pub max_csv_exports: usize,
    /// Largest import body, in MiB.
    pub max_import_mib: usize,
    /// Cache of each open redb file, in MiB.
    pub cache_mib: usize,
    /// Life of an access token, in seconds.
    pub access_ttl_secs: u64,
    /// Life of a login token, in seconds.
    pub login_ttl_secs: u64,
    /// Log filter, in the syntax of `tracing` (`info`, `nacre=debug,warn`).
    pub log: String,
}

/// Every setting: its name in file and flags, and what a value may be. The environment variable is
/// `NACRE_` and the name in capitals.
const NAMES: [&str; 12] = [
    "data_dir",
    "listen",
    "public_url",
    "registration",
    "max_concurrent_requests",
    "request_timeout_secs",
    "max_csv_exports",
    "max_import_mib",
    "cache_mib",
    "access_ttl_secs",
    "login_ttl_secs",
    "log",
];

/// All mistakes found in the settings, one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<String>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the settings have {} mistake(s):", self.0.len())?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  - {mistake}"))
    }
}

impl std::error::Error for ConfigErrors {}

/// Settings given on the command line, by name; they win over file and environment.
pub type Flags = BTreeMap<&'static str, String>;

impl Config {
    /// Reads file, environment and flags.
    ///
    /// # Errors
    /// [`ConfigErrors`] with every mistake of every source.
    pub fn load(flags: &Flags) -> Result<Self, ConfigErrors> {
        Self::from_sources(flags, |name| std::env::var(name).ok())
    }

    /// Like [`Config::load`] with a given environment, so that tests need not change the process.
    ///
    /// # Errors
    /// [`ConfigErrors`] with every mistake of every source.
    pub fn from_sources(flags: &Flags, env: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let mut values = Values::default();
        for name in NAMES {
            let variable = format!("NACRE_{}", name.to_uppercase());
            if let Some(value) = flags.get(name) {
                values.set(name, value.clone(), format!("flag --{}", name.replace('_', "-")));
            } else if let Some(value) = env(&variable) {
                values.set(name, value, format!("environment {variable}"));
            }
        }
        let data_dir = values.data_dir();
        values.add_file(&data_dir.join("nacre.toml"));
        values.into_config(data_dir)
    }

    /// The defaults on a given data folder and a free loopback port: what tests and `nacre demo` start from.
    #[must_use]
    pub fn for_data_dir(data_dir: &Path) -> Self {
        Self {
            data_dir: data_dir.to_path_buf(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            public_url: None,
            registration: Registration::Open,
            max_concurrent_requests: 128,
            request_timeout_secs: 30,
            max_csv_exports: 2,
            max_import_mib: 256,
            cache_mib: 16,
            access_ttl_secs: 300,
            login_ttl_secs: 86_400,
            log: "info".to_owned(),
        }
    }
}

/// Raw values by name with the source each came from, and the mistakes found so far.
#[derive(Default)]
struct Values {
    given: BTreeMap<&'static str, (String, String)>,
    mistakes: Vec<String>,
}

impl Values {
    fn set(&mut self, name: &'static str, value: String, source: String) {
        self.given.entry(name).or_insert((value, source));
    }

    fn data_dir(&mut self) -> PathBuf {
        if let Some((value, source)) = self.given.get("data_dir") {
            if value.is_empty() {
                self.mistakes.push(format!("{source}: data_dir is empty; give a folder"));
            }
            return PathBuf::from(value);
        }
        match directories::ProjectDirs::from("", "", "nacre") {
            Some(dirs) => dirs.data_dir().to_path_buf(),
            None => {
                self.mistakes.push("data_dir: this account has no home folder; give --data-dir".to_owned());
                PathBuf::new()
            }
        }
    }

    fn add_file(&mut self, path: &Path) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => return self.mistakes.push(format!("{}: {error}", path.display())),
        };
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => return self.mistakes.push(format!("{}: {error}", path.display())),
        };
        for (key, value) in table {
            let known = NAMES.iter().find(|name| **name == key && key != "data_dir");
            match (known, value) {
                (Some(name), toml::Value::String(text)) => self.set(name, text, path.display().to_string()),
                (Some(name), toml::Value::Integer(n)) => {
                    self.set(name, n.to_string(), path.display().to_string());
                }
                (Some(_), _) => {
                    self.mistakes.push(format!("{}: {key} must be a string or a number", path.display()));
                }
                (None, _) => self.mistakes.push(format!("{}: unknown setting {key}", path.display())),
            }
        }
    }

    /// The value of a setting through `parse`, or the default; a mistake is noted and the default stands in.
    fn take<T>(&mut self, name: &str, default: T, parse: impl Fn(&str) -> Result<T, String>) -> T {
        match self.given.get(name) {
            None => default,
            Some((value, source)) => match parse(value) {
                Ok(parsed) => parsed,
                Err(reason) => {
                    self.mistakes.push(format!("{source}: {name} = {value:?}: {reason}"));
                    default
                }
            },
        }
    }

    fn number<T>(&mut self, name: &str, default: T, min: T, max: T) -> T
    where
        T: std::str::FromStr + PartialOrd + fmt::Display + Copy,
    {
        self.take(name, default, |text| match text.trim().parse::<T>() {
            Ok(n) if n >= min && n <= max => Ok(n),
            _ => Err(format!("must be a whole number from {min} to {max}")),
        })
    }

    fn into_config(mut self, data_dir: PathBuf) -> Result<Config, ConfigErrors> {
        let base = Config::for_data_dir(&data_dir);
        let listen = self.take("listen", SocketAddr::from(([127, 0, 0, 1], 8080)), |text| {
            text.parse().map_err(|_| "must be an address and port such as 127.0.0.1:8080".to_owned())
        });
        let by_address =
            if listen.ip().is_loopback() { Registration::Open } else { Registration::FirstUserOnly };
        let config = Config {
            data_dir,
            listen,
            public_url: self.take("public_url", None, |text| parse_public_url(text).map(Some)),
            registration: self.take("registration", by_address, parse_registration),
            max_concurrent_requests: self.number(
                "max_concurrent_requests",
                base.max_concurrent_requests,
                1,
                65_536,
            ),
            request_timeout_secs: self.number("request_timeout_secs", base.request_timeout_secs, 1, 3600),
            max_csv_exports: self.number("max_csv_exports", base.max_csv_exports, 1, 1024),
            max_import_mib: self.number("max_import_mib", base.max_import_mib, 1, 65_536),
            cache_mib: self.number("cache_mib", base.cache_mib, 1, 65_536),
            access_ttl_secs: self.number("access_ttl_secs", base.access_ttl_secs, 1, 86_400),
            login_ttl_secs: self.number("login_ttl_secs", base.login_ttl_secs, 1, 31_536_000),
            log: self.take("log", base.log, |text| {
                tracing_subscriber::EnvFilter::try_new(text)
                    .map(|_| text.to_owned())
                    .map_err(|error| format!("is no log filter: {error}"))
            }),
        };
        if self.mistakes.is_empty() { Ok(config) } else { Err(ConfigErrors(self.mistakes)) }
    }
}

fn parse_public_url(text: &str) -> Result<String, String> {
    let uri: hyper::Uri = text.parse().map_err(|_| "is no URL".to_owned())?;
    match (uri.scheme_str(), uri.host(), uri.query()) {
        (Some("http" | "https"), Some(_), None) => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err("must look like https://books.example.org".to_owned()),
    }
}

fn parse_registration(text: &str) -> Result<Registration, String> {
    match text {
        "open" => Ok(Registration::Open),
        "closed" => Ok(Registration::Closed),
        "invite" => Err("this version has no invitations; use open or closed".to_owned()),
        _ => Err("must be open or closed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::{Config, Flags, Registration};

    fn flags(dir: &std::path::Path, more: &[(&'static str, &str)]) -> Flags {
        let mut flags = Flags::from([("data_dir", dir.display().to_string())]);
        flags.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        flags
    }

    #[test]
    fn flags_win_over_environment_and_environment_over_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = "cache_mib = 1\nmax_csv_exports = 3\nlisten = \"127.0.0.1:1\"\n";
        std::fs::write(dir.path().join("nacre.toml"), file).unwrap();
        let env = |name: &str| match name {
            "NACRE_CACHE_MIB" => Some("2".to_owned()),
            "NACRE_LISTEN" => Some("127.0.0.1:2".to_owned()),
            _ => None,
        };
        let config = Config::from_sources(&flags(dir.path(), &[("listen", "127.0.0.1:3")]), env).unwrap();
        assert_eq!((config.listen.port(), config.cache_mib, config.max_csv_exports), (3, 2, 3));
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("nacre.toml"), "cache = 1\nlog = []\n").unwrap();
        let env = |name: &str| (name == "NACRE_CACHE_MIB").then(|| "zero".to_owned());
        let given = flags(dir.path(), &[("listen", "nowhere"), ("registration", "maybe")]);
        let errors = Config::from_sources(&given, env).unwrap_err();
        assert_eq!(errors.0.len(), 5, "{errors}");
        for word in ["unknown setting cache", "log must be", "NACRE_CACHE_MIB", "--listen", "--registration"]
        {
            assert!(errors.to_string().contains(word), "{word} missing in {errors}");
        }
    }

    #[test]
    fn registration_is_open_on_loopback_and_first_user_only_beyond() {
        let dir = tempfile::tempdir().unwrap();
        let load =
            |listen| Config::from_sources(&flags(dir.path(), &[("listen", listen)]), |_| None).unwrap();
        assert_eq!(load("127.0.0.1:0").registration, Registration::Open);
        assert_eq!(load("0.0.0.0:0").registration, Registration::FirstUserOnly);
    }
}
