//! Text in pieces: a scrape of ten thousand volumes has megabytes, and one growing string of them is moved to make room
//! again and again, each time with its double beside it.

use std::convert::Infallible;
use std::fmt;

use axum::body::{Body, Bytes};

/// The size of a piece in bytes: few for a large text, and more than a small one has.
const PIECE: usize = 64 * 1024;

/// A text under construction.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    full: Vec<Bytes>,
    last: String,
}

impl fmt::Write for Pieces {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.last.len() + text.len() > PIECE {
            self.full.push(std::mem::replace(&mut self.last, String::with_capacity(PIECE)).into());
        }
        self.last.push_str(text);
        Ok(())
    }
}

impl Pieces {
    /// Bytes.
    pub(super) fn len(&self) -> usize {
        self.full.iter().map(Bytes::len).sum::<usize>() + self.last.len()
    }

    /// The answer, whose pieces go as they are sent.
    pub(super) fn into_body(mut self) -> Body {
        self.full.push(self.last.into());
        Body::from_stream(futures::stream::iter(self.full.into_iter().map(Ok::<_, Infallible>)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::fmt::Write as _;

    use super::*;

    #[tokio::test]
    async fn a_text_of_many_pieces_is_sent_as_it_was_written() {
        let (mut pieces, mut whole) = (Pieces::default(), String::new());
        for number in 0..50_000 {
            let line = format!("series{{slot=\"{number}\"}} 0.0\n");
            pieces.write_str(&line).unwrap();
            whole.push_str(&line);
        }
        let long = "x".repeat(3 * PIECE);
        pieces.write_str(&long).unwrap();
        whole.push_str(&long);
        assert!(pieces.full.len() > 10);
        assert_eq!(pieces.len(), whole.len());
        let sent = axum::body::to_bytes(pieces.into_body(), usize::MAX).await.unwrap();
        assert!(*sent == *whole.as_bytes());
    }
}
