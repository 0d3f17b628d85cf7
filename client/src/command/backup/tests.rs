use super::*;
use crate::cli::{Cli, Command, Format};
use crate::command::fake::Fake;
use crate::output::tests::captured;
use clap::Parser;
use std::os::unix::fs::PermissionsExt;

fn args(words: &[&str], to: &Path) -> Args {
    let words = ["quorate", "backup"].iter().chain(words).copied().map(Into::into);
    let line = words.chain([to.as_os_str().to_owned()]);
    let Command::Backup(args) = Cli::try_parse_from(line).unwrap().command else { panic!("no backup") };
    args
}

/// Results of taking one, or the error.
async fn take(fake: &Fake, words: &[&str], to: &Path) -> anyhow::Result<String> {
    let (mut output, results, messages) = captured(Format::Table);
    let done = run(&args(words, to), &fake.serve().await, &mut output).await.map(|_| results.text());
    assert_eq!(messages.text(), "", "there is no terminal that progress could be shown on");
    done
}

fn verified(to: &Path, format: Format) -> anyhow::Result<String> {
    let (mut output, results, _) = captured(format);
    verify(&args(&["--verify"], to), &mut output).map(|_| results.text())
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn looks_like_this() {
    let dir = tempfile::tempdir().unwrap();
    let shown = take(&Fake::default(), &[], dir.path()).await.unwrap();
    let path = dir.path().join("quorate-agg-20261120T190605Z.tar");
    let expect = format!(
        "\
{}  2 files, 9 B, of agg 0.1.0 at 2026-11-20T19:06:05.000Z
  ▲ the keys of the authority are in it: whoever has it can be any node, keep it sealed
",
        path.display()
    );
    assert_eq!(shown, expect);
    assert_eq!(names(dir.path()).len(), 1);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(verified(&path, Format::Table).unwrap(), expect);
    let json: serde_json::Value = serde_json::from_str(&verified(&path, Format::Json).unwrap()).unwrap();
    assert_eq!((&json["files"], &json["has_keys"]), (&2.into(), &true.into()));
}

#[tokio::test]
async fn nothing_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.tar");
    let shown = take(&Fake::default(), &["--without-keys"], &path).await.unwrap();
    assert!(shown.ends_with("  no private key is in it: who restores it has to bring them\n"), "{shown}");
    let before = std::fs::read(&path).unwrap();
    let error = take(&Fake::default(), &[], &path).await.unwrap_err().to_string();
    assert_eq!(error, format!("`{}` is there already: it is never overwritten", path.display()));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn one_that_breaks_off_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    for backup_parts in 0..7 {
        let fake = Fake { backup_parts, ..Fake::default() };
        let error = format!("{:#}", take(&fake, &[], dir.path()).await.unwrap_err());
        assert_eq!(error, "failed to take the backup: the answer ends too early", "{backup_parts}");
        assert_eq!(names(dir.path()).len(), 0, "{backup_parts}");
    }
}

#[tokio::test]
async fn a_damaged_one_is_refused_with_the_file_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    take(&Fake::default(), &[], &path).await.unwrap();
    let mut content = std::fs::read(&path).unwrap();
    let at = content.windows(5).position(|window| window == b"frame").unwrap();
    content[at] ^= 1;
    std::fs::write(&path, content).unwrap();
    let error = format!("{:#}", verified(&path, Format::Table).unwrap_err());
    let place = path.display();
    assert_eq!(error, format!("`{place}`: the archive is damaged in `history/log-a.qj1`"));
    let absent = dir.path().join("absent");
    let error = verified(&absent, Format::Table).unwrap_err().to_string();
    assert_eq!(error, format!("failed to open `{}`", absent.display()));
}

#[test]
fn progress_is_one_line() {
    let progress = Progress {
        files: 3,
        bytes: 6 << 20,
        files_all: 9,
        bytes_all: 30 << 20,
        begun: BootTime(0),
        shown: None,
    };
    let line = progress.line(Duration::from_secs(2));
    assert_eq!(line, "3 of 9 files, 6.0 MiB of 30.0 MiB, 3.0 MiB/s");
}
