//! The blocks of code in the project's documents: what people are told to write is what tests write.

use std::io;
use std::path::{Path, PathBuf};

/// A block of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The document's name and the block's line, as the name of a file.
    pub name: String,
    /// What stands behind its first fence.
    pub language: String,
    /// Its lines, without the indentation that they have in a list.
    pub content: String,
}

/// A file of the repository.
#[must_use]
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The blocks of one document, in their order.
///
/// # Errors
/// Where it cannot be read.
pub fn blocks(file: &Path) -> io::Result<Vec<Block>> {
    let document = file.file_stem().unwrap_or_default().display().to_string();
    Ok(of(&document, &std::fs::read_to_string(file)?))
}

/// The first block of a document that has these words.
///
/// # Errors
/// Where it cannot be read, or has none.
pub fn block_with(file: &Path, words: &str) -> io::Result<Block> {
    let found = blocks(file)?.into_iter().find(|block| block.content.contains(words));
    found.ok_or_else(|| io::Error::other(format!("{} has no block with {words:?}", file.display())))
}

fn of(document: &str, text: &str) -> Vec<Block> {
    let (mut blocks, mut open): (_, Option<(usize, Block)>) = (Vec::new(), None);
    for (number, line) in text.lines().enumerate() {
        let (indent, word) = (line.len() - line.trim_start().len(), line.trim());
        match &mut open {
            None => {
                open = word.strip_prefix("```").map(|language| {
                    let name = format!("{document}-{}.{language}", number + 1);
                    (indent, Block { name, language: language.to_owned(), content: String::new() })
                });
            }
            Some(_) if word == "```" => blocks.extend(open.take().map(|(_, block)| block)),
            Some((indent, block)) => {
                block.content.push_str(line.get(*indent..).unwrap_or_default());
                block.content.push('\n');
            }
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_what_stands_between_its_fences() {
        let text = "# One\n\n1. First:\n\n   ```sh\n   a\n     b\n   ```\n\n```yaml\nc: d\n```\n";
        let block = |name: &str, language: &str, content: &str| Block {
            name: name.into(),
            language: language.into(),
            content: content.into(),
        };
        let expected = [block("doc-5.sh", "sh", "a\n  b\n"), block("doc-10.yaml", "yaml", "c: d\n")];
        assert_eq!(of("doc", text), expected);
    }
}
