//! How large the parts of a selector may become, judged before the parser makes them.
//!
//! The parser builds a tree as deep as an expression nests, and compiles every pattern, to ten MiB each, before
//! anybody can say no: a few KiB of text would take a thread's stack, or all memory. What it splits a text into
//! is found here by its own rules, so that none can hide from the one in the other.

use promql_parser::util::unquote_string;
use regex::RegexBuilder;

/// Most bytes outside of braces, quotes and comments, where an expression could nest.
const OUTSIDE_BYTES_MAX: usize = 2 * 1024;
/// Most quoted texts: a series has at most 32 labels.
const QUOTED_MAX: usize = 64;
/// Largest pattern, compiled. An alternation of all names that fit into a selector is far smaller.
const PATTERN_BYTES_MAX: usize = 1 << 19;

/// What is too large.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// An expression that is too long to be let in.
    #[error("{0} bytes outside of braces and quotes, limit {OUTSIDE_BYTES_MAX}")]
    Outside(usize),
    /// Too many quoted texts.
    #[error("more than {QUOTED_MAX} quoted texts")]
    Quoted,
    /// A pattern that would take too much memory.
    #[error("pattern `{0}` takes more than {PATTERN_BYTES_MAX} bytes of memory")]
    Pattern(String),
}

/// Judges a text that the parser's lexer has accepted.
pub fn check(text: &str) -> Result<(), Excess> {
    let parts = split(text);
    if parts.outside > OUTSIDE_BYTES_MAX {
        return Err(Excess::Outside(parts.outside));
    }
    if parts.quoted.len() > QUOTED_MAX {
        return Err(Excess::Quoted);
    }
    // Which of them are patterns only the parser knows; one that is none is as good as small.
    let plain = parts.quoted.into_iter().filter_map(|quoted| unquote_string(quoted).ok());
    for pattern in plain {
        // The parser too takes braces for themselves where they are no repetition.
        if is_large(&pattern).unwrap_or_else(|| is_large(&pattern.replace('{', r"\{")).unwrap_or(false)) {
            return Err(Excess::Pattern(pattern.chars().take(80).collect()));
        }
    }
    Ok(())
}

/// Whether a pattern compiles to too much; `None` if it is none.
fn is_large(pattern: &str) -> Option<bool> {
    match RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(PATTERN_BYTES_MAX).build() {
        Ok(_) => Some(false),
        Err(regex::Error::CompiledTooBig(_)) => Some(true),
        Err(_) => None,
    }
}

#[derive(Default)]
struct Parts<'a> {
    /// Bytes outside of braces, quotes and comments.
    outside: usize,
    /// With their quotes.
    quoted: Vec<&'a str>,
}

fn split(text: &str) -> Parts<'_> {
    let (mut parts, mut is_inside) = (Parts::default(), false);
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'{' => is_inside = true,
            b'}' => is_inside = false,
            b'#' => drop(bytes.by_ref().find(|(_, byte)| matches!(byte, b'\n' | b'\r'))),
            quote @ (b'"' | b'\'' | b'`') => {
                let end = loop {
                    match bytes.next() {
                        // To the lexer a backslash hides a quote of every kind.
                        Some((_, b'\\')) => drop(bytes.next()),
                        Some((end, byte)) if byte == quote => break end + 1,
                        Some(_) => {}
                        None => break text.len(),
                    }
                };
                parts.quoted.extend(text.get(at..end));
            }
            _ => parts.outside += usize::from(!is_inside),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_that(text: &str, expect: Result<(), &str>) {
        assert_eq!(
            check(text).map_err(|excess| excess.to_string()),
            expect.map_err(str::to_owned),
            "{text:.80}"
        );
    }

    #[test]
    fn what_could_nest_is_bounded_and_what_cannot_is_not() {
        for deep in
            ["(", "-", "a+", "abs(", "a[1m:", "a or ", "(#{\n", "(#{\r", "'\\'{'+", "`\\`{`+", "\"{\"+"]
        {
            let text = deep.repeat(2500);
            assert!(matches!(check(&text), Err(Excess::Outside(_) | Excess::Quoted)), "{deep}");
            assert!(split(&text).outside >= 2500, "{deep}");
        }
        check_that(&"(".repeat(2048), Ok(()));
        check_that(&"(".repeat(2049), Err("2049 bytes outside of braces and quotes, limit 2048"));
        check_that(&format!(r#"{{a="{}"}} # {}"#, "-".repeat(5000), "(".repeat(5000)), Ok(()));
    }

    #[test]
    fn quotes_are_found_as_the_lexer_finds_them() {
        let quoted = split(r#"a{b="x",c=~'y\'"',d=`z\`"`} # "no" "#).quoted;
        assert_eq!(quoted, [r#""x""#, r#"'y\'"'"#, r#"`z\`"`"#]);
        assert_eq!(split("a{b=\"é\\").quoted, ["\"é\\"], "one that is not closed");
    }

    #[test]
    fn patterns_are_bounded() {
        let large = "pattern `.{9000}` takes more than 524288 bytes of memory";
        check_that(r#"{a=~".{9000}"}"#, Err(large));
        check_that(r#"{a=~"\x2e\x7b9000}"}"#, Err(large));
        check_that("{a!~`.{9000}`}", Err(large));
        check_that(
            r#"{a=~ # b
            '.{9000}'}"#,
            Err(large),
        );
        let braces = format!(r#"{{a=~"{}{{b}}"}}"#, "\\\\pL".repeat(2000));
        assert!(matches!(check(&braces), Err(Excess::Pattern(_))), "{:?}", check(&braces));
        let many = (0..65).map(|_| r#"a="b""#).collect::<Vec<_>>().join(",");
        check_that(&format!("{{{many}}}"), Err("more than 64 quoted texts"));
        let names: Vec<String> = (0..1500).map(|number| format!("db-{number}")).collect();
        check_that(&format!(r#"node_load1{{node=~"{}"}}"#, names.join("|")), Ok(()));
        for fine in [r#"{a="("}"#, r#"{a=~"a{b}"}"#, r#"{a=~"(a-b)+$|.*\\.example"}"#, "{a=~'[a-z]{3,63}'}"] {
            check_that(fine, Ok(()));
        }
    }
}
