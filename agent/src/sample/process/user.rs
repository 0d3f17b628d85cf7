//! Names of users, from `/etc/passwd`. Users of a directory service keep their number.

use rustix::fs::{AtFlags, CWD, statat};
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

const PASSWD_BYTES_MAX: u64 = 1 << 20;

/// Names by number.
pub(super) struct Users(HashMap<u32, String>);

impl Users {
    /// Those known below `root`; none if the file cannot be read.
    pub fn load(root: &Path) -> Users {
        let mut text = Vec::new();
        let read = std::fs::File::open(root.join("etc/passwd"))
            .and_then(|file| file.take(PASSWD_BYTES_MAX).read_to_end(&mut text));
        Users(if read.is_ok() { parse(&String::from_utf8_lossy(&text)) } else { HashMap::new() })
    }

    /// Whose process it is, by name or number; empty if it has ended. `proc` is the directory of processes,
    /// whose entries belong to the effective user even where the files in them do not.
    pub fn of_process(&self, proc: &Path, pid: u32) -> String {
        match statat(CWD, proc.join(pid.to_string()), AtFlags::empty()) {
            Ok(entry) => self.0.get(&entry.st_uid).cloned().unwrap_or_else(|| entry.st_uid.to_string()),
            Err(_) => String::new(),
        }
    }
}

/// The first name of a number counts, as for the system's own tools.
fn parse(text: &str) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        let (name, uid) = (fields.next(), fields.nth(1).and_then(|uid| uid.parse::<u32>().ok()));
        if let (Some(name), Some(uid)) = (name, uid) {
            names.entry(uid).or_insert_with(|| name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_counts_and_garbage_is_left_out() {
        let names =
            parse("root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\n\nx:y\nbad:x:abc:\ndb:x:100:1::/:\n");
        assert_eq!((names.len(), names[&0].as_str(), names[&100].as_str()), (2, "root", "db"));
        assert_eq!(Users::load(Path::new("/does/not/exist")).of_process(Path::new("/does/not/exist"), 1), "");
    }
}
