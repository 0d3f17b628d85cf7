//! Names and patterns of programs that somebody watches: which group a program is counted in because of that.
//!
//! A name is compared whole, a pattern must match the whole name. Only the name that the kernel has is looked
//! at, never the command line, which may hold secrets.

use regex::Regex;

/// Most entries, and most bytes of one.
const ENTRIES_MAX: usize = 100;
const ENTRY_BYTES_MAX: usize = 200;
/// A pattern that needs more when it is compiled is refused: each process name runs through all of them.
const PATTERN_BYTES_MAX: usize = 256 * 1024;

/// What is watched, compiled.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Watch(Vec<Entry>);

#[derive(Clone, Debug)]
struct Entry {
    group: Box<str>,
    pattern: Option<Regex>,
}

impl Watch {
    /// Compiles entries `NAME` or `GROUP:PATTERN`.
    ///
    /// # Errors
    ///
    /// The first entry that is wrong, and why.
    pub fn parse(entries: &[String]) -> Result<Watch, (String, String)> {
        if entries.len() > ENTRIES_MAX {
            return Err((entries[ENTRIES_MAX].clone(), format!("is one of more than {ENTRIES_MAX}")));
        }
        let one = |entry: &String| {
            Entry::parse(entry).map_err(|why| (entry.chars().take(ENTRY_BYTES_MAX).collect(), why))
        };
        entries.iter().map(one).collect::<Result<_, _>>().map(Watch)
    }

    /// The groups, in the order of the configuration.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|entry| &*entry.group)
    }

    /// The group of the first entry that a program's name fits.
    pub fn group_of(&self, name: &str) -> Option<&str> {
        let fits = |entry: &&Entry| match &entry.pattern {
            Some(pattern) => pattern.is_match(name),
            None => *entry.group == *name,
        };
        self.0.iter().find(fits).map(|entry| &*entry.group)
    }
}

impl Entry {
    fn parse(entry: &str) -> Result<Entry, String> {
        let (group, pattern) = match entry.split_once(':') {
            Some((group, pattern)) => (group, Some(pattern)),
            None => (entry, None),
        };
        if entry.len() > ENTRY_BYTES_MAX {
            return Err(format!("is longer than {ENTRY_BYTES_MAX} bytes"));
        }
        if group.is_empty() || group == super::group::OTHER || group.chars().any(char::is_control) {
            return Err("needs a name of its own before any `:`".to_owned());
        }
        let compile = |pattern: &str| {
            let whole = format!("^(?:{pattern})$");
            regex::RegexBuilder::new(&whole).size_limit(PATTERN_BYTES_MAX).build()
        };
        // The first line of a syntax error is only its heading.
        let why = |error: regex::Error| error.to_string().lines().last().unwrap_or_default().to_owned();
        Ok(Entry { group: group.into(), pattern: pattern.map(compile).transpose().map_err(why)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(entries: &[&str]) -> Result<Watch, String> {
        let entries: Vec<String> = entries.iter().map(|&entry| entry.to_owned()).collect();
        Watch::parse(&entries).map_err(|(entry, why)| format!("{entry} {why}"))
    }

    #[test]
    fn the_first_that_fits_the_whole_name_counts() {
        let watch = watch(&["postgres", "java:.*kafka.*", "web:nginx|h2o", "late:.*sql"]).unwrap();
        for (name, expect) in [
            ("postgres", Some("postgres")),
            ("postgresql", Some("late")),
            ("my-kafka-1", Some("java")),
            ("java", None),
            ("nginx", Some("web")),
            ("nginx2", None),
            ("", None),
        ] {
            assert_eq!(watch.group_of(name), expect, "{name}");
        }
        assert_eq!(watch.groups().collect::<Vec<_>>(), ["postgres", "java", "web", "late"]);
    }

    #[test]
    fn refuses_what_cannot_be_watched() {
        for (entry, expect) in [
            ("", " needs a name of its own before any `:`"),
            (":x", ":x needs a name of its own before any `:`"),
            ("other", "other needs a name of its own before any `:`"),
            ("a:(", "a:( error: unclosed group"),
            ("a:.{9999}", "a:.{9999} Compiled regex exceeds size limit of 262144 bytes."),
        ] {
            assert_eq!(watch(&[entry]).unwrap_err(), expect);
        }
        let long = "x".repeat(ENTRY_BYTES_MAX + 1);
        assert!(watch(&[&long]).unwrap_err().ends_with("x is longer than 200 bytes"));
        let many = vec!["x"; ENTRIES_MAX + 1];
        assert_eq!(watch(&many).unwrap_err(), "x is one of more than 100");
    }
}
