//! Query words: a stack of comparisons and logic, as the API manual has them (`["slot=x", "comment=y", "#|"]`).

use super::{Trap, Value};

/// Which rows a print shows: every word that is left on the stack must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<Word>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Compare { name: String, test: Test },
    Operations(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Present,
    Absent,
    Equal(String),
    Less(String),
    More(String),
}

impl Query {
    /// Rows whose property `name` is exactly `value`, each pair demanded.
    pub fn equal<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let word = |(name, value): (&str, &str)| Word::Compare {
            name: name.to_owned(),
            test: Test::Equal(value.to_owned()),
        };
        Self(pairs.into_iter().map(word).collect())
    }

    /// Reads query words; a leading `?`, as the binary API has it, may be there.
    ///
    /// # Errors
    /// A word that is none, or operations on an empty stack.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, Trap> {
        let words: Option<Vec<Word>> = words.into_iter().map(parse_word).collect();
        let query = Self(words.ok_or_else(|| Trap::refused("invalid query word"))?);
        query.holds(|_| None).map(|_| query.clone()).ok_or_else(|| Trap::refused("invalid query operation"))
    }

    /// The only value of `name` that a matching row can have, where that is plain to see.
    pub fn demanded(&self, name: &str) -> Option<&str> {
        let plain = self.0.iter().all(|word| matches!(word, Word::Compare { .. }));
        self.0.iter().filter(|_| plain).find_map(|word| match word {
            Word::Compare { name: each, test: Test::Equal(value) } if each == name => Some(value.as_str()),
            _ => None,
        })
    }

    /// Whether a row with these properties matches.
    pub fn matches(&self, get: impl Fn(&str) -> Option<Value>) -> bool {
        self.holds(get).unwrap_or(false)
    }

    /// `None` where an operation found too little on the stack.
    fn holds(&self, get: impl Fn(&str) -> Option<Value>) -> Option<bool> {
        let mut stack = Vec::new();
        for word in &self.0 {
            match word {
                Word::Compare { name, test } => stack.push(test.holds(get(name).as_deref())),
                Word::Operations(operations) => operate(operations, &mut stack)?,
            }
        }
        Some(stack.into_iter().all(|truth| truth))
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        match (self, value) {
            (Test::Absent, value) => value.is_none(),
            (Test::Present, value) => value.is_some(),
            (_, None) => false,
            (Test::Equal(wanted), Some(value)) => wanted == value,
            (Test::Less(bound), Some(value)) => ordered(value, bound).is_lt(),
            (Test::More(bound), Some(value)) => ordered(value, bound).is_gt(),
        }
    }
}

/// Numbers compare as numbers, everything else as text.
fn ordered(left: &str, right: &str) -> std::cmp::Ordering {
    match (left.parse::<i128>(), right.parse::<i128>()) {
        (Ok(left), Ok(right)) => left.cmp(&right),
        _ => left.cmp(right),
    }
}

fn parse_word(word: &str) -> Option<Word> {
    let word = word.strip_prefix('?').unwrap_or(word);
    if let Some(operations) = word.strip_prefix('#') {
        return Some(Word::Operations(operations.to_owned()));
    }
    let (kind, rest) = match word.chars().next()? {
        mark @ ('-' | '=' | '<' | '>') => (Some(mark), &word[1..]),
        _ => (None, word),
    };
    let (name, value) = match rest.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (rest, None),
    };
    let test = match (kind, value) {
        (None, None) => Test::Present,
        (Some('-'), None) => Test::Absent,
        (None | Some('='), Some(value)) => Test::Equal(value),
        (Some('<'), Some(value)) => Test::Less(value),
        (Some('>'), Some(value)) => Test::More(value),
        _ => return None,
    };
    (!name.is_empty()).then(|| Word::Compare { name: name.to_owned(), test })
}

/// `!` not, `&` and, `|` or, `.` copies the top, a number copies that place (0 is the top) and, at the end of
/// the word, becomes the whole stack.
fn operate(operations: &str, stack: &mut Vec<bool>) -> Option<()> {
    let mut rest = operations.chars().peekable();
    while let Some(operation) = rest.next() {
        match operation {
            '!' => *stack.last_mut()? ^= true,
            '&' => join(stack, |a, b| a && b)?,
            '|' => join(stack, |a, b| a || b)?,
            '.' => stack.push(*stack.last()?),
            digit if digit.is_ascii_digit() => {
                let mut index = digit.to_digit(10)? as usize;
                while let Some(next) = rest.next_if(char::is_ascii_digit) {
                    index = index.checked_mul(10)?.checked_add(next.to_digit(10)? as usize)?;
                }
                let picked = *stack.iter().rev().nth(index)?;
                if rest.peek().is_none() {
                    stack.clear();
                }
                // A `.` only ends the number.
                rest.next_if_eq(&'.');
                stack.push(picked);
            }
            _ => return None,
        }
    }
    Some(())
}

fn join(stack: &mut Vec<bool>, with: impl Fn(bool, bool) -> bool) -> Option<()> {
    let (second, first) = (stack.pop()?, stack.pop()?);
    stack.push(with(first, second));
    Some(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn matches(words: &[&str]) -> bool {
        let row = [("slot", "a"), ("size", "1000"), ("type", "file")];
        let get = |name: &str| row.iter().find(|(n, _)| *n == name).map(|(_, v)| Value::Borrowed(*v));
        Query::parse(words.iter().copied()).unwrap().matches(get)
    }

    #[test]
    fn words_left_on_the_stack_must_all_hold() {
        let cases: &[(&[&str], bool)] = &[
            (&[], true),
            (&["slot=a", "type=file"], true),
            (&["slot=a", "type=raid"], false),
            (&["slot=a", "slot=b", "#|"], true),
            (&["slot=b", "slot=c", "#|"], false),
            (&["slot=b", "#!"], true),
            (&["slot=a", "type=raid", "#&!"], true),
            (&["comment"], false),
            (&["-comment"], true),
            (&[">size=999"], true),
            (&["<size=999"], false),
            (&["?=slot=a"], true),
            (&["slot=a", "slot=b", "#1"], true),
            (&["slot=a", "slot=b", "#|.&"], true),
        ];
        for (words, expected) in cases {
            assert_eq!(matches(words), *expected, "{words:?}");
        }
    }

    #[test]
    fn a_value_is_demanded_only_where_nothing_can_turn_it_round() {
        let demanded =
            |words: &[&str]| Query::parse(words.iter().copied()).unwrap().demanded("slot").map(str::to_owned);
        assert_eq!(demanded(&["type=file", "slot=a"]).as_deref(), Some("a"));
        for words in [&["slot=a", "slot=b", "#|"][..], &["slot=a", "#!"], &["type=file"], &["-slot"]] {
            assert_eq!(demanded(words), None, "{words:?}");
        }
    }

    #[test]
    fn a_word_that_is_none_is_refused() {
        for words in [&["#|"][..], &["slot=a", "#x"], &["="], &["", "slot"], &["slot=a", "#7"]] {
            assert!(Query::parse(words.iter().copied()).is_err(), "{words:?}");
        }
    }
}
