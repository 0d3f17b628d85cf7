//! Where the aggregator is and who we are: flags, then environment, then `client.toml`, then defaults.
//!
//! ```toml
//! address = "aggregator.example:7443"
//! ca = "ca.crt"        # relative to this file
//! cert = "client.crt"
//! key = "client.key"
//! timeout = "10s"
//! ```

use crate::quantity::parse_duration;
use quorate_common::config::{self, Environment, environment_path};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// The name of the file in the directory of this program.
pub const FILE: &str = "client.toml";
/// The port of the gRPC door of an aggregator.
pub const PORT: u16 = 7443;

const TIMEOUT: Duration = Duration::from_secs(10);

/// An aggregator and the credential to show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where it listens.
    pub address: Address,
    /// The roots that vouch for it, PEM.
    pub ca: PathBuf,
    /// Our certificate chain, PEM.
    pub cert: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// How long a call may take.
    pub timeout: Duration,
}

/// What was said about the target; what was not is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "as in Target")]
pub struct Partial {
    pub address: Option<Address>,
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    // What we write leaves it at its default.
    #[serde(deserialize_with = "duration", skip_serializing)]
    pub timeout: Option<Duration>,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read, or says something wrong: one line for each, `file:line:column: what`.
    #[error(transparent)]
    File(#[from] config::ConfigError),
    /// Nothing says where a file of the credential is.
    #[error("no `{0}` given: set it in {1}, with --{0} or with {2}")]
    Missing(&'static str, String, &'static str),
}

impl Target {
    /// Flags and environment, completed by the file. `file` must be there; `default_dir/client.toml` may.
    pub fn resolve(
        given: Partial,
        file: Option<&Path>,
        default_dir: Option<&Path>,
    ) -> Result<Target, ConfigError> {
        let default_file = default_dir.map(|dir| dir.join(FILE));
        let path = file.map(Path::to_owned).or(default_file);
        let read = match (&path, file) {
            (None, _) => Partial::default(),
            (Some(path), Some(_)) => Partial::load(path)?,
            (Some(path), None) => Partial::load_if_there(path)?,
        };
        let place = path.map_or_else(|| FILE.to_owned(), |path| format!("`{}`", path.display()));
        let need = |value: Option<PathBuf>, name, variable| {
            value.ok_or_else(|| ConfigError::Missing(name, place.clone(), variable))
        };
        Ok(Target {
            address: given.address.or(read.address).unwrap_or_default(),
            ca: need(given.ca.or(read.ca), "ca", "QUORATE_CA")?,
            cert: need(given.cert.or(read.cert), "cert", "QUORATE_CERT")?,
            key: need(given.key.or(read.key), "key", "QUORATE_KEY")?,
            timeout: given.timeout.or(read.timeout).unwrap_or(TIMEOUT),
        })
    }
}

impl Partial {
    /// Reads a file and reports everything that is wrong with it at once.
    pub fn load(path: &Path) -> Result<Partial, ConfigError> {
        // Variables with sections are meant for agent and aggregator; clap reads those of this program.
        let read: Partial = config::load("client", Some(path), &Environment::default())?.value;
        let beside =
            |file: Option<PathBuf>| file.map(|file| path.parent().unwrap_or(Path::new("")).join(file));
        Ok(Partial { ca: beside(read.ca), cert: beside(read.cert), key: beside(read.key), ..read })
    }

    fn load_if_there(path: &Path) -> Result<Partial, ConfigError> {
        match path.try_exists() {
            Ok(false) => Ok(Partial::default()),
            _ => Partial::load(path),
        }
    }
}

/// The directory of this program: `$XDG_CONFIG_HOME/quorate`, else `~/.config/quorate`; none without a home.
pub fn directory() -> Option<PathBuf> {
    directory_in(environment_path("XDG_CONFIG_HOME"), environment_path("HOME"))
}

fn directory_in(xdg: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    // A relative XDG_CONFIG_HOME is to be ignored, says its specification.
    let base = xdg.filter(|dir| dir.is_absolute()).or_else(|| home.map(|home| home.join(".config")));
    base.map(|dir| dir.join("quorate"))
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    parse_duration(&text).map(Some).map_err(de::Error::custom)
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or IP address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Default for Address {
    fn default() -> Address {
        Address { host: "127.0.0.1".to_owned(), port: PORT }
    }
}

impl FromStr for Address {
    type Err = String;

    /// `host`, `host:port`, `[v6]` or `[v6]:port`.
    fn from_str(text: &str) -> Result<Address, String> {
        let refuse = || format!("`{text}` is not host:port");
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or_else(refuse)?,
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(refuse)?,
            None if port.is_empty() => PORT,
            None => return Err(refuse()),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
        if host.is_empty() || !host.chars().all(plain) {
            return Err(refuse());
        }
        Ok(Address { host: host.to_owned(), port })
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Address, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Address { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, shown) in [
            ("a", "a:7443"),
            ("a.example:1", "a.example:1"),
            ("127.0.0.1:65535", "127.0.0.1:65535"),
            ("[::1]", "[::1]:7443"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
        for bad in
            ["", ":1", "a:", "a:0", "a:65536", "::1", "[::1", "[::1]x", "a b:1", "http://a:1", "a/b", "[]:1"]
        {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        std::fs::write(&path, text).unwrap();
        (dir, path)
    }

    #[test]
    fn flags_win_over_the_file_and_paths_stand_beside_it() {
        let (dir, path) =
            file("address = \"a:1\"\nca = \"ca.crt\"\ncert = \"/x/c\"\nkey = \"k\"\ntimeout = \"3s\"\n");
        let given = Partial { address: Some("b:2".parse().unwrap()), ..Partial::default() };
        for file in [Some(path.as_path()), None] {
            let target = Target::resolve(given.clone(), file, Some(dir.path())).unwrap();
            assert_eq!(target.address.to_string(), "b:2");
            assert_eq!((target.ca, target.cert), (dir.path().join("ca.crt"), PathBuf::from("/x/c")));
            assert_eq!(target.timeout, Duration::from_secs(3));
        }
    }

    #[test]
    fn every_fault_is_named_with_its_line() {
        let (_dir, path) = file("address = \"a:0\"\n\ncerts = \"x\"\ntimeout = 5\nwholly = \"other\"\n");
        let text = Partial::load(&path).unwrap_err().to_string().replace(&format!("{}", path.display()), "F");
        let lines: Vec<&str> = text.lines().collect();
        for (at, part) in [
            ("F:1:", "`address`: `a:0` is not host:port"),
            ("F:3:", "unknown key `certs`, did you mean `cert`?"),
            ("F:4:", "`timeout`: invalid type: integer `5`, expected a string"),
            ("F:5:", "unknown key `wholly`, expected one of address, ca, cert, key, timeout"),
        ] {
            assert!(
                lines.iter().any(|line| line.starts_with(at) && line.ends_with(part)),
                "{part} in {text}"
            );
        }
        assert_eq!(lines.len(), 4, "{text}");
        let (_dir, path) = file("address = \"a\"\nca = = 1\n");
        assert!(Partial::load(&path).unwrap_err().to_string().contains("client.toml:2:"));
    }

    #[test]
    fn the_directory_follows_xdg() {
        let check = |xdg: Option<&str>, home: Option<&str>, expect: Option<&str>| {
            assert_eq!(directory_in(xdg.map(Into::into), home.map(Into::into)), expect.map(Into::into));
        };
        check(None, Some("/home/a"), Some("/home/a/.config/quorate"));
        check(Some("/x"), Some("/h"), Some("/x/quorate"));
        check(Some("x"), Some("/h"), Some("/h/.config/quorate"));
        check(None, None, None);
    }

    #[test]
    fn what_is_missing_is_named_with_its_three_places() {
        let dir = tempfile::tempdir().unwrap();
        let error = Target::resolve(Partial::default(), None, Some(dir.path())).unwrap_err().to_string();
        assert!(error.starts_with("no `ca` given: set it in `"), "{error}");
        assert!(error.ends_with("client.toml`, with --ca or with QUORATE_CA"), "{error}");
        let absent = dir.path().join("absent.toml");
        let error = Target::resolve(Partial::default(), Some(&absent), None).unwrap_err();
        assert!(matches!(error, ConfigError::File(..)), "{error}");
    }
}
