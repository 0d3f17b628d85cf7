use super::*;
use std::collections::BTreeMap;
use std::io;

fn about() -> About {
    About {
        format: FORMAT,
        aggregator: "agg".into(),
        version: "0.1.0".into(),
        created_s: 1_795_700_000,
        has_keys: true,
    }
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("registry.db", b"rows".to_vec()),
        ("ca/root.key", Vec::new()),
        ("history/log-s-1795200000-0123456789abcdef.qj1", (0..=255).cycle().take(1_300).collect()),
        ("history/chunks-s-5-0-0123456789abcdef.qj1", vec![7; 512]),
    ]
}

fn written() -> Vec<u8> {
    let mut writer = Writer::begin(Vec::new(), about()).unwrap();
    for (name, content) in files() {
        writer.file(name, content.len() as u64).unwrap();
        content.chunks(100).for_each(|data| writer.data(data).unwrap());
    }
    let (archive, summary) = writer.finish().unwrap();
    assert_eq!(summary, Summary { about: about(), files: 4, bytes: 4 + 1_300 + 512 });
    archive
}

/// Files as they were taken.
#[derive(Default)]
struct Taken {
    files: BTreeMap<String, Vec<u8>>,
    open: Option<(String, u64)>,
}

impl Take for Taken {
    fn begin(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        assert!(self.open.replace((name.to_owned(), bytes)).is_none());
        self.files.insert(name.to_owned(), Vec::new());
        Ok(())
    }

    fn data(&mut self, data: &[u8]) -> io::Result<()> {
        self.files.get_mut(&self.open.as_ref().unwrap().0).unwrap().extend_from_slice(data);
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        let (name, bytes) = self.open.take().unwrap();
        assert_eq!(self.files[&name].len() as u64, bytes);
        Ok(())
    }
}

#[test]
fn what_goes_in_comes_out() {
    let mut taken = Taken::default();
    let summary = read(&*written(), &mut taken).unwrap();
    assert_eq!(summary, Summary { about: about(), files: 4, bytes: 1_816 });
    let expect: BTreeMap<String, Vec<u8>> =
        files().into_iter().map(|(name, content)| (name.to_owned(), content)).collect();
    assert_eq!(taken.files, expect);
}

#[test]
fn every_cut_and_every_flipped_bit_is_found() {
    let whole = written();
    for length in 0..whole.len() {
        let error = read(&whole[..length], &mut ()).unwrap_err();
        assert!(matches!(error, ArchiveError::Cut(_)), "{length}: {error}");
    }
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        let error = read(&*damaged, &mut ()).unwrap_err();
        assert!(!matches!(error, ArchiveError::Archive(..)), "{at}: {error}");
    }
    let longer = [&whole[..], b"x"].concat();
    assert_eq!(
        read(&*longer, &mut ()).unwrap_err().to_string(),
        "the archive is damaged in `manifest.sha256`"
    );
}

#[test]
fn the_file_that_is_hit_is_named() {
    let whole = written();
    let find = |what: &[u8]| whole.windows(what.len()).position(|window| window == what).unwrap();
    let name = b"history/log-s-1795200000-0123456789abcdef.qj1";
    let log = find(name);
    let text = String::from_utf8_lossy(name);
    let mut damaged = whole.clone();
    damaged[log + BLOCK + 1_000] ^= 1;
    assert_eq!(
        read(&*damaged, &mut ()).unwrap_err().to_string(),
        format!("the archive is damaged in `{text}`")
    );
    let error = read(&whole[..log + BLOCK + 100], &mut ()).unwrap_err();
    assert_eq!(error.to_string(), format!("the archive is cut off in `{text}`"));
}

#[test]
fn other_files_are_refused() {
    let check = |bytes: &[u8], expect: &str| {
        assert_eq!(read(bytes, &mut ()).unwrap_err().to_string(), expect);
    };
    check(&[0; 4_096], "this is no backup of an aggregator");
    check(&[b'x'; 4_096], "this is no backup of an aggregator");
    check(b"", "the archive is cut off in `backup.json`");
    let newer = Writer::begin(Vec::new(), About { format: 9, ..about() }).unwrap();
    let text = "format 9 of the backup is newer than 1, the newest that is known here";
    check(&newer.finish().unwrap().0, text);
}

#[test]
fn names_lead_nowhere_else() {
    let mut writer = Writer::begin(Vec::new(), about()).unwrap();
    let long = "x".repeat(101);
    for name in [
        "",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a/b/c",
        ".hidden",
        "a//b",
        "a/",
        "a b",
        "ä",
        "a\0",
        ABOUT,
        MANIFEST,
        &long,
    ] {
        let error = writer.file(name, 1).unwrap_err();
        assert!(matches!(error, ArchiveError::Name(_)), "{name}: {error}");
    }
    // One that somebody else wrote.
    let mut archive = written();
    let at = archive.windows(11).position(|window| window == b"registry.db").unwrap();
    let evil = header("../../x", 4, about().created_s);
    archive[at..at + BLOCK].copy_from_slice(&evil);
    assert_eq!(
        read(&*archive, &mut ()).unwrap_err().to_string(),
        "`../../x` is no name of a file in a backup"
    );
}

#[test]
fn lengths_are_kept() {
    let mut writer = Writer::begin(Vec::new(), about()).unwrap();
    writer.file("a", 3).unwrap();
    writer.data(b"ab").unwrap();
    let error = writer.file("b", 1).unwrap_err().to_string();
    assert_eq!(error, "`a` has 2 bytes, not 3");
    let mut writer = Writer::begin(Vec::new(), about()).unwrap();
    writer.file("a", 3).unwrap();
    assert_eq!(writer.data(b"abcd").unwrap_err().to_string(), "`a` has 4 bytes, not 3");
    for value in [0, 1, (1 << 33) - 1, 1 << 33, u64::MAX] {
        assert_eq!(parse_number(&number(value)), Some(value));
    }
}

#[test]
fn a_place_that_is_full_is_told() {
    struct Full;
    impl Take for Full {
        fn begin(&mut self, name: &str, _: u64) -> io::Result<()> {
            if name == "ca/root.key" { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
        fn data(&mut self, _: &[u8]) -> io::Result<()> {
            Ok(())
        }
        fn end(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error = read(&*written(), &mut Full).unwrap_err();
    assert_eq!(error.to_string(), "failed to unpack `ca/root.key`");
}
