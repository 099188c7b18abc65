//! A Rust source file as the rules see it: tokens without comments and literals, product code apart from test code.
//!
//! This is a lexer, not a parser: it knows comments, literals, lifetimes and brackets, which is enough for code that
//! rustfmt has laid out. It refuses to understand macros.

use std::ops::Range;

/// A word, `::` or a single sign, with its line (from 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// One file of the tree.
#[derive(Debug)]
pub struct Source {
    /// Relative to the root, with `/`.
    pub path: String,
    pub first_line: String,
    /// Lines that are not in test code.
    pub product_lines: usize,
    pub product: Vec<Token>,
    pub tests: Vec<Token>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let tokens = tokenize(text);
        let (mut product, mut tests, mut test_lines) = (Vec::new(), Vec::new(), 0);
        let mut next = 0;
        for range in test_ranges(&tokens) {
            product.extend_from_slice(&tokens[next..range.start]);
            tests.extend_from_slice(&tokens[range.clone()]);
            test_lines += tokens[range.end - 1].line + 1 - tokens[range.start].line;
            next = range.end;
        }
        product.extend_from_slice(&tokens[next..]);
        Self {
            path: path.into(),
            first_line: text.lines().next().unwrap_or_default().into(),
            product_lines: text.lines().count() - test_lines,
            product,
            tests,
        }
    }

    /// The files that `#[cfg(test)] mod name;` could mean here.
    fn test_modules(&self) -> Vec<String> {
        let stem = self.path.trim_end_matches(".rs");
        let folder = match stem.rsplit_once('/') {
            Some((folder, "mod" | "lib" | "main")) => folder,
            _ => stem,
        };
        let words = self.tests.windows(3).filter(|words| words[0].text == "mod" && words[2].text == ";");
        words
            .flat_map(|words| ["", "/mod"].map(|end| format!("{folder}/{}{end}.rs", words[1].text)))
            .collect()
    }
}

/// Turns the files of test modules into test code, and what those files name in turn.
pub fn mark_test_modules(sources: &mut [Source]) {
    let mut named: Vec<_> = sources.iter().flat_map(Source::test_modules).collect();
    while let Some(path) = named.pop() {
        let unmarked = sources.iter_mut().find(|source| source.path == path && !source.product.is_empty());
        if let Some(source) = unmarked {
            source.tests = [std::mem::take(&mut source.product), std::mem::take(&mut source.tests)].concat();
            source.product_lines = 0;
            named.extend(source.test_modules());
        }
    }
}

/// The place after the bracket that closes the one at `open`, or the end.
pub fn after_matching(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, token) in tokens[open..].iter().enumerate() {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return open + offset + 1;
        }
    }
    tokens.len()
}

pub fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
}

/// Items under `#[cfg(test)]`, or the whole file under `#![cfg(test)]`.
fn test_ranges(tokens: &[Token]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match test_attribute(tokens, at) {
            Some((_, true)) => return std::iter::once(0..tokens.len()).collect(),
            Some((end, false)) => {
                let item_end = after_item(tokens, end);
                ranges.push(at..item_end);
                at = item_end;
            }
            None => at += 1,
        }
    }
    ranges
}

/// The end of the attribute at `at` and whether it is an inner one, if it says `cfg(… test …)` without `not`.
fn test_attribute(tokens: &[Token], at: usize) -> Option<(usize, bool)> {
    let text = |i: usize| tokens.get(i).map(|t| t.text.as_str());
    let inner = text(at + 1) == Some("!");
    let open = if inner { at + 2 } else { at + 1 };
    if text(at) != Some("#") || text(open) != Some("[") || text(open + 1) != Some("cfg") {
        return None;
    }
    let end = after_matching(tokens, open);
    let says = |word: &str| tokens[open..end].iter().any(|t| t.text == word);
    (says("test") && !says("not")).then_some((end, inner))
}

/// The end of the item, field or statement that starts at `at`, further attributes included.
fn after_item(tokens: &[Token], mut at: usize) -> usize {
    const ITEMS: [&str; 14] = [
        "mod",
        "fn",
        "use",
        "impl",
        "struct",
        "enum",
        "const",
        "static",
        "type",
        "trait",
        "async",
        "unsafe",
        "extern",
        "macro_rules",
    ];
    while at + 1 < tokens.len() && tokens[at].text == "#" {
        at = after_matching(tokens, at + 1);
    }
    if tokens.get(at).is_some_and(|t| t.text == "pub") {
        at += 1;
        if tokens.get(at).is_some_and(|t| t.text == "(") {
            at = after_matching(tokens, at);
        }
    }
    let is_item = tokens.get(at).is_some_and(|t| ITEMS.contains(&t.text.as_str()));
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "{" => return after_matching(tokens, at),
            "(" | "[" => at = after_matching(tokens, at),
            ";" => return at + 1,
            "," if !is_item => return at + 1,
            "}" => return at,
            _ => at += 1,
        }
    }
    at
}

fn tokenize(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let end = match skipped(&chars, at) {
            Some(end) => end,
            None if chars[at].is_whitespace() => at + 1,
            None => {
                let end = token_end(&chars, at);
                tokens.push(Token { text: chars[at..end].iter().collect(), line });
                end
            }
        };
        line += chars[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    tokens
}

fn token_end(chars: &[char], at: usize) -> usize {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    if word(chars[at]) {
        at + chars[at..].iter().take_while(|c| word(**c)).count()
    } else if chars[at..].starts_with(&[':', ':']) {
        at + 2
    } else {
        at + 1
    }
}

/// The end of the comment, literal or lifetime that starts at `at`, if one does.
fn skipped(chars: &[char], at: usize) -> Option<usize> {
    let rest = &chars[at..];
    let end_of = |skip: usize, found: Option<usize>| at + found.map_or(rest.len(), |i| skip + i);
    match rest {
        ['/', '/', ..] => Some(end_of(0, rest.iter().position(|c| *c == '\n'))),
        ['/', '*', ..] => Some(at + block_comment(rest)),
        ['"', ..] => Some(at + quoted(rest, '"')),
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => Some(at + quoted(rest, '\'')),
        ['\'', ..] => Some(at + 1),
        _ => raw_string(chars, at),
    }
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (1, 2);
    while at < rest.len() && depth > 0 {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

/// `r"…"`, `r#"…"#` and their `b` and `c` forms. (`r#name` is a word.)
fn raw_string(chars: &[char], at: usize) -> Option<usize> {
    if at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_') {
        return None;
    }
    let mut open = at;
    if matches!(chars[open], 'b' | 'c') {
        open += 1;
    }
    if chars.get(open) != Some(&'r') {
        return None;
    }
    let hashes = chars[open + 1..].iter().take_while(|c| **c == '#').count();
    let body = open + 1 + hashes;
    if chars.get(body) != Some(&'"') {
        return None;
    }
    let closing: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let found = chars[body + 1..].windows(closing.len()).position(|window| window == closing);
    Some(found.map_or(chars.len(), |i| body + 1 + i + closing.len()))
}
