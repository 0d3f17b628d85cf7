//! The language of the scripts: commands, each with the indented lines that follow it.

/// One command.
pub enum Command {
    /// Forgets all series.
    Clear,
    /// Adds series, a point a step.
    Load { step_ms: i64, lines: Vec<String>, has_custom_buckets: bool },
    /// Asks, and states the answer.
    Eval(Case),
}

/// When a query is asked.
#[derive(Clone, Copy)]
pub enum When {
    Instant(i64),
    Range { start_ms: i64, end_ms: i64, step_ms: i64 },
}

/// What a message has to be.
#[derive(Clone)]
pub enum Message {
    Any,
    Is(String),
    Matches(String),
}

/// A question with its answer.
#[derive(Default)]
pub struct Expected {
    pub fails: Option<Message>,
    pub warns: Vec<Message>,
    pub informs: Vec<Message>,
    pub has_no_warning: bool,
    pub has_no_info: bool,
    pub is_ordered: bool,
    pub text: Option<String>,
    /// Start, end and step of a range vector.
    pub ranges: Option<(i64, i64, i64)>,
    /// Series with points, or one number.
    pub lines: Vec<String>,
}

/// One question.
pub struct Case {
    pub line: usize,
    pub when: When,
    pub query: String,
    pub expected: Expected,
}

/// All commands of a script.
pub fn parse(text: &str) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let word = line.split_whitespace().next().unwrap();
        match (word, commands.last_mut()) {
            ("clear", _) => commands.push(Command::Clear),
            ("load" | "load_with_nhcb", _) => commands.push(Command::Load {
                step_ms: duration_ms(line.split_whitespace().nth(1).unwrap()),
                lines: Vec::new(),
                has_custom_buckets: word == "load_with_nhcb",
            }),
            ("eval" | "eval_fail" | "eval_warn" | "eval_info" | "eval_ordered", _) => {
                commands.push(Command::Eval(case(at + 1, word, line)));
            }
            ("expect", Some(Command::Eval(case))) => expect(&mut case.expected, line),
            (_, Some(Command::Load { lines, .. })) => lines.push(line.to_owned()),
            (_, Some(Command::Eval(case))) => case.expected.lines.push(line.to_owned()),
            _ => panic!("line {}: {line}", at + 1),
        }
    }
    commands
}

fn case(number: usize, word: &str, line: &str) -> Case {
    let mut rest = line[word.len()..].trim_start();
    let mut next = || {
        let (word, after) = rest.split_once(char::is_whitespace).unwrap();
        rest = after.trim_start();
        word
    };
    let when = match next() {
        "instant" => {
            assert_eq!(next(), "at");
            When::Instant(duration_ms(next()))
        }
        "range" => {
            let mut value = |name: &str| {
                assert_eq!(next(), name);
                duration_ms(next())
            };
            When::Range { start_ms: value("from"), end_ms: value("to"), step_ms: value("step") }
        }
        other => panic!("line {number}: {other}"),
    };
    let mut expected = Expected::default();
    match word {
        "eval_fail" => expected.fails = Some(Message::Any),
        "eval_warn" => expected.warns.push(Message::Any),
        "eval_info" => expected.informs.push(Message::Any),
        "eval_ordered" => expected.is_ordered = true,
        _ => {}
    }
    Case { line: number, when, query: rest.to_owned(), expected }
}

fn expect(expected: &mut Expected, line: &str) {
    let rest = line["expect".len()..].trim();
    let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let rest = rest.trim();
    let message = || match (rest.strip_prefix("msg:"), rest.strip_prefix("regex:")) {
        (Some(text), _) => Message::Is(text.trim().to_owned()),
        (_, Some(pattern)) => Message::Matches(pattern.trim().to_owned()),
        _ => Message::Any,
    };
    match kind {
        "fail" => expected.fails = Some(message()),
        "warn" => expected.warns.push(message()),
        "info" => expected.informs.push(message()),
        "no_warn" => expected.has_no_warning = true,
        "no_info" => expected.has_no_info = true,
        "ordered" => expected.is_ordered = true,
        "string" => {
            expected.text = Some(match rest.strip_prefix('`') {
                Some(raw) => raw.trim_end_matches('`').to_owned(),
                None => super::series::unquote(rest),
            });
        }
        "range" => {
            let words: Vec<&str> = rest.split_whitespace().collect();
            let ["vector", "from", start, "to", end, "step", step] = words.as_slice() else {
                panic!("{line}")
            };
            expected.ranges = Some((duration_ms(start), duration_ms(end), duration_ms(step)));
        }
        _ => panic!("{line}"),
    }
}

/// Milliseconds of `1h30m`, `-5s`, or a number of seconds.
pub fn duration_ms(text: &str) -> i64 {
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds * 1000.0).round() as i64;
    }
    let (sign, mut rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut total = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap();
        let (number, after) = rest.split_at(digits);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            "y" => 365 * 86_400_000,
            _ => panic!("{text}"),
        };
        total += number.parse::<i64>().unwrap() * unit_ms;
        rest = after;
    }
    sign * total
}
