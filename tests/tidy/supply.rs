//! What is built into us: the rules of `.deny.toml`, held against what cargo really builds.
//!
//! The same file drives cargo-deny; this test needs nothing installed and takes a second. It does not
//! look for advisories: those come from outside (`docs/decisions/0002-supply-chain.md`).

use crate::tree::{judge, root};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::process::Command;

#[derive(Deserialize)]
struct Rules {
    licenses: Licences,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Entry>,
    skip: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename = "crate")]
struct Entry {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

/// A crate that is built: name, version, licence.
struct Built {
    name: String,
    version: String,
    licence: String,
}

fn rules(text: &str) -> Rules {
    toml::from_str(text).expect(".deny.toml can be read")
}

/// Reads `name vVERSION …|LICENCE` lines.
fn built(listing: &str) -> Vec<Built> {
    let read = |line: &str| {
        let (package, licence) = line.split_once('|')?;
        let mut words = package.split(' ');
        let (name, version) = (words.next()?.to_owned(), words.next()?.trim_start_matches('v').to_owned());
        Some(Built { name, version, licence: licence.trim_end_matches(" (*)").to_owned() })
    };
    let mut all: Vec<Built> = listing.lines().filter_map(read).collect();
    all.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    all.dedup_by(|a, b| (&a.name, &a.version) == (&b.name, &b.version));
    all
}

fn problems(rules: &Rules, built: &[Built]) -> Vec<String> {
    let banned = built.iter().flat_map(|it| {
        let ban = rules.bans.deny.iter().find(|ban| ban.name == it.name)?;
        Some(format!("{} {} is banned: {}", it.name, it.version, ban.reason))
    });
    let unlicensed = built.iter().filter(|it| !licence_fits(&it.licence, &rules.licenses.allow));
    let unlicensed = unlicensed.map(|it| format!("{} {}: licence `{}`", it.name, it.version, it.licence));
    let all = rules.bans.deny.iter().chain(&rules.bans.skip);
    let bare = all.filter(|entry| entry.reason.is_empty()).map(|entry| format!("{}: no reason", entry.name));
    banned.chain(unlicensed).chain(bare).chain(doubled(&rules.bans.skip, built)).collect()
}

/// Crates that are built in two versions, and skips that are no longer needed.
fn doubled(skip: &[Entry], built: &[Built]) -> Vec<String> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for it in built {
        versions.entry(&it.name).or_default().push(&it.version);
    }
    let skipped =
        |name: &str, version: &str| skip.iter().any(|entry| entry.name == format!("{name}@{version}"));
    let mut problems = Vec::new();
    for (name, versions) in &versions {
        let left: Vec<&str> = versions.iter().copied().filter(|version| !skipped(name, version)).collect();
        if left.len() > 1 {
            problems.push(format!("{name} is built as {}", left.join(" and ")));
        }
    }
    let needed = |entry: &Entry| {
        let (name, version) = entry.name.split_once('@').unwrap_or((&entry.name, ""));
        versions.get(name).is_some_and(|built| built.len() > 1 && built.contains(&version))
    };
    let idle = skip.iter().filter(|entry| !needed(entry));
    problems.extend(idle.map(|entry| format!("skip of {} is no longer needed", entry.name)));
    problems
}

/// `AND` binds more than `OR`, as SPDX says; `/` is an old way to write `OR`.
fn licence_fits(text: &str, allowed: &[String]) -> bool {
    let spaced = text.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (fits, rest) = any_of(&words, allowed);
    fits && rest.is_empty()
}

fn any_of<'a, 'w>(words: &'w [&'a str], allowed: &[String]) -> (bool, &'w [&'a str]) {
    let (mut fits, mut rest) = all_of(words, allowed);
    while rest.first() == Some(&"OR") {
        let (other, after) = all_of(&rest[1..], allowed);
        (fits, rest) = (fits | other, after);
    }
    (fits, rest)
}

fn all_of<'a, 'w>(words: &'w [&'a str], allowed: &[String]) -> (bool, &'w [&'a str]) {
    let (mut fits, mut rest) = one(words, allowed);
    while rest.first() == Some(&"AND") {
        let (other, after) = one(&rest[1..], allowed);
        (fits, rest) = (fits & other, after);
    }
    (fits, rest)
}

fn one<'a, 'w>(words: &'w [&'a str], allowed: &[String]) -> (bool, &'w [&'a str]) {
    match words {
        ["(", inner @ ..] => {
            let (fits, rest) = any_of(inner, allowed);
            (fits && rest.first() == Some(&")"), rest.get(1..).unwrap_or_default())
        }
        [name, "WITH", exception, rest @ ..] => (allowed.contains(&format!("{name} WITH {exception}")), rest),
        [name, rest @ ..] => (allowed.iter().any(|it| it == name), rest),
        [] => (false, words),
    }
}

/// Every source that the lock file names must be the public registry.
fn foreign(lock: &str) -> Vec<String> {
    let sources = lock.lines().filter_map(|line| line.strip_prefix("source = "));
    let known = |source: &str| source.starts_with("\"registry+") && source.ends_with("/crates.io-index\"");
    sources.filter(|source| !known(source)).map(|source| format!("Cargo.lock: source {source}")).collect()
}

fn wildcards(manifest: &str) -> Vec<String> {
    let starred = manifest.lines().filter(|line| line.contains("= \"*\""));
    starred.map(|line| format!("Cargo.toml: any version: {line}")).collect()
}

#[test]
fn ours() {
    let read = |name: &str| std::fs::read_to_string(root().join(name)).unwrap();
    let listing = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--workspace", "--edges", "normal,build,dev"])
        .args(["--prefix", "none", "--format", "{p}|{l}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(listing.status.success(), "{}", String::from_utf8_lossy(&listing.stderr));
    let built = built(&String::from_utf8(listing.stdout).unwrap());
    assert!(built.len() > 100, "cargo names only {} crates", built.len());
    let mut found = problems(&rules(&read(".deny.toml")), &built);
    found.extend(foreign(&read("Cargo.lock")));
    found.extend(wildcards(&read("Cargo.toml")));
    judge(found);
}

#[test]
fn planted() {
    let text = "licenses.allow = ['MIT', 'Apache-2.0 WITH LLVM-exception']\n[bans]\n\
        deny = [{ crate = 'ring', reason = 'why' }]\nskip = [{ crate = 'syn@1.0.0', reason = 'old' }]";
    let two = "syn v1.0.0|MIT\nsyn v2.0.0 (proc-macro)|MIT (*)\n";
    let check = |listing: &str, expect: &[&str]| {
        assert_eq!(problems(&rules(text), &built(&format!("{two}{listing}"))), expect, "{listing}");
    };
    check("", &[]);
    check("ring v0.17.0|MIT", &["ring 0.17.0 is banned: why"]);
    check("a v1.0.0|GPL-3.0", &["a 1.0.0: licence `GPL-3.0`"]);
    check("a v1.0.0|", &["a 1.0.0: licence ``"]);
    check("a v1.0.0|MIT\na v1.0.0|MIT (*)\na v2.0.0|MIT", &["a is built as 1.0.0 and 2.0.0"]);
    let alone = problems(&rules(text), &built("syn v1.0.0|MIT"));
    assert_eq!(alone, ["skip of syn@1.0.0 is no longer needed"]);
    assert_eq!(foreign("source = \"git+ssh://x/crates.io-index\"").len(), 1);
    assert_eq!(wildcards("serde = \"*\"\ntoml = \"1\"").len(), 1);
    assert_eq!(problems(&rules(&text.replace("'old'", "''")), &built(two)), ["syn@1.0.0: no reason"]);
}

#[test]
fn licence_expressions() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()];
    for (text, fits) in [
        ("MIT", true),
        ("MIT/GPL", true),
        ("GPL", false),
        ("GPL OR ISC", true),
        ("MIT AND GPL", false),
        ("MIT OR ISC AND GPL", true),
        ("(MIT OR ISC) AND GPL", false),
        ("(GPL OR ISC) AND MIT", true),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("Apache-2.0", false),
        ("MIT AND", false),
        ("(MIT", false),
        ("MIT ISC", false),
        ("", false),
    ] {
        assert_eq!(licence_fits(text, &allowed), fits, "{text}");
    }
}

/// The list of known holes comes from outside; where it can be had, `cargo deny check advisories` reads it.
#[test]
fn advisories() {
    println!("SKIPPED advisories: the list of known holes comes from outside and cannot be had here");
}
