//! What the environment says about terminals and directories; the rest is read by clap.

use std::path::PathBuf;

/// The variables that matter, read once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `NO_COLOR` is set and not empty.
    pub no_color: bool,
    /// `CLICOLOR_FORCE` is set and neither empty nor `0`.
    pub force_color: bool,
    /// `TERM` is `dumb`.
    pub dumb: bool,
    /// The locale understands UTF-8.
    pub utf8: bool,
    /// `$XDG_CONFIG_HOME/quorate`, else `~/.config/quorate`; `None` without a home.
    pub config_dir: Option<PathBuf>,
}

impl Environment {
    /// Reads the environment of this process.
    #[allow(clippy::disallowed_methods, reason = "the one place of this program that reads the environment")]
    pub fn read() -> Environment {
        Environment::of(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    fn of(get: impl Fn(&str) -> Option<String>) -> Environment {
        let set = |name| get(name).filter(|value| !value.is_empty());
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        let home = || set("HOME").map(|home| PathBuf::from(home).join(".config"));
        // A relative XDG_CONFIG_HOME is to be ignored, says its specification.
        let xdg = set("XDG_CONFIG_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
        Environment {
            no_color: set("NO_COLOR").is_some(),
            force_color: set("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            dumb: get("TERM").is_some_and(|term| term == "dumb"),
            utf8: locale.contains("utf-8") || locale.contains("utf8"),
            config_dir: xdg.or_else(home).map(|dir| dir.join("quorate")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Environment {
        Environment::of(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn empty_means_unset() {
        assert_eq!(of(&[("NO_COLOR", ""), ("CLICOLOR_FORCE", "0"), ("LC_ALL", "")]), of(&[]));
        let all = of(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1"), ("TERM", "dumb"), ("LANG", "C.UTF-8")]);
        assert!(all.no_color && all.force_color && all.dumb && all.utf8);
        assert!(!of(&[("LANG", "C.UTF-8"), ("LC_ALL", "C")]).utf8);
    }

    #[test]
    fn the_directory_follows_xdg() {
        let dir = |pairs| of(pairs).config_dir;
        assert_eq!(dir(&[("HOME", "/home/a")]), Some("/home/a/.config/quorate".into()));
        assert_eq!(dir(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")]), Some("/x/quorate".into()));
        assert_eq!(dir(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "x")]), Some("/h/.config/quorate".into()));
        assert_eq!(dir(&[]), None);
    }
}
