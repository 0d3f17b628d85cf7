//! Reading Rust as far as the rules need it: without comments, without tests, paths and literals.

/// The part of a file that is shipped: what stands before its unit tests.
pub fn shipped(text: &str) -> &str {
    let mut lines = text.match_indices("#[cfg(test)]\n").map(|(at, mark)| (at, &text[at + mark.len()..]));
    let inline = lines.find(|(_, rest)| test_module(rest).is_some_and(|(_, end)| end.starts_with('{')));
    inline.map_or(text, |(at, _)| &text[..at])
}

/// The modules that a file declares for tests only and that are files of their own.
pub fn test_modules(text: &str) -> impl Iterator<Item = &str> {
    let marked = text.match_indices("#[cfg(test)]\n").map(|(at, mark)| &text[at + mark.len()..]);
    marked.filter_map(test_module).filter(|(_, end)| end.starts_with(';')).map(|(name, _)| name)
}

/// The name of the module that begins here, and what follows it.
fn test_module(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let text = text.trim_start_matches("pub(crate) ").trim_start_matches("pub ").strip_prefix("mod ")?;
    let name = name(text);
    Some((name, text[name.len()..].trim_start()))
}

/// The text without line comments.
pub fn code(text: &str) -> String {
    let bare = |line: &str| {
        let comment =
            line.match_indices("//").find(|(at, _)| line[..*at].matches('"').count().is_multiple_of(2));
        comment.map_or(line, |(at, _)| &line[..at]).to_owned()
    };
    text.lines().map(bare).collect::<Vec<_>>().join("\n")
}

/// The first names that follow each `start` in the code: `a` and `b` of `start{a::x, b}`.
pub fn names_after<'a>(code: &'a str, start: &str) -> Vec<&'a str> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(start) {
        let inside = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        let rest = &code[at + start.len()..];
        match rest.strip_prefix('{') {
            _ if inside => {}
            Some(group) => names.extend(heads(group)),
            None => names.push(name(rest)),
        }
    }
    names
}

/// The string literals of the code; those that span lines and raw ones are cut where they look odd.
pub fn literals(code: &str) -> impl Iterator<Item = &str> {
    code.lines().flat_map(|line| line.split('"').skip(1).step_by(2))
}

/// The first name of each member of a group that has been opened.
fn heads(group: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut heads) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        let ends = depth == 0 && matches!(c, ',' | '}');
        if ends {
            heads.push(name(group[begin..at].trim()));
            begin = at + 1;
        }
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            _ => {}
        }
    }
    heads.retain(|head| !head.is_empty());
    heads
}

fn name(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '*')).unwrap_or(text.len());
    &text[..end]
}

#[test]
fn groups_and_paths_are_read() {
    let text = code(
        "use crate::{a::{b, c}, d};\n// use crate::x;\nlet y = crate::e::f(\"crate::g\"); mycrate::h();",
    );
    assert_eq!(names_after(&text, "crate::"), ["a", "d", "e", "g"]);
    assert_eq!(names_after("use crate::{\n  a::{b},\n  c,\n};", "crate::"), ["a", "c"]);
    assert_eq!(shipped("a\n#[cfg(test)]\nmod tests {}"), "a\n");
    assert_eq!(shipped("#[cfg(test)]\nmod fake;\nb"), "#[cfg(test)]\nmod fake;\nb");
    let declared = "#[cfg(test)]\nmod a;\nmod b;\n#[cfg(test)]\npub mod c;\n#[cfg(test)]\nmod tests {}";
    assert_eq!(test_modules(declared).collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(code("let u = \"https://x\"; // y"), "let u = \"https://x\"; ");
    assert_eq!(literals("f(\"a\", \"b\")").collect::<Vec<_>>(), ["a", "b"]);
}
