//! Rows out of an answer's body while it arrives: only one row is ever held.

use crate::error::{Error, ErrorKind};
use crate::row::Row;
use crate::transport::RowSink;

/// The largest row: a hardware disk with all its counters has about 4 KiB.
const ROW_LIMIT: usize = 256 * 1024;

/// Where in `[{…},{…}]`, or in the lone `{…}` of a single row, the parser is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    FirstRowOrEnd,
    Row,
    CommaOrEnd,
    NextRow,
    End,
}

/// Splits a body into rows.
pub(super) struct RowParser {
    place: Place,
    in_array: bool,
    /// The beginning of a row that the last chunk left unfinished.
    partial: Vec<u8>,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl RowParser {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Start,
            in_array: false,
            partial: Vec::new(),
            depth: 0,
            in_string: false,
            escaped: false,
        }
    }

    /// Takes the next piece of the body and gives out the rows that end in it.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`], [`ErrorKind::TooLarge`], or what `each` returns.
    pub(super) fn push(&mut self, mut chunk: &[u8], each: &mut RowSink<'_>) -> Result<(), Error> {
        while !chunk.is_empty() {
            chunk = if self.place == Place::Row {
                self.row_bytes(chunk, each)?
            } else {
                self.between_rows(chunk)?
            };
        }
        Ok(())
    }

    /// Ends the body. One that is cut short is an error, and so is an empty one where rows were asked for: what
    /// could not be read is not absent.
    pub(super) fn finish(self, may_be_empty: bool) -> Result<(), Error> {
        match self.place {
            Place::End => Ok(()),
            Place::Start if may_be_empty => Ok(()),
            _ => Err(Error::new(ErrorKind::Malformed, "the answer ends in the middle")),
        }
    }

    fn between_rows<'a>(&mut self, chunk: &'a [u8]) -> Result<&'a [u8], Error> {
        let byte = chunk[0];
        self.place = match (self.place, byte) {
            (place, b' ' | b'\t' | b'\r' | b'\n') => place,
            (Place::Start, b'[') => {
                self.in_array = true;
                Place::FirstRowOrEnd
            }
            // The brace is left for the row.
            (Place::Start | Place::FirstRowOrEnd | Place::NextRow, b'{') => {
                self.place = Place::Row;
                return Ok(chunk);
            }
            (Place::CommaOrEnd, b',') => Place::NextRow,
            (Place::FirstRowOrEnd | Place::CommaOrEnd, b']') => Place::End,
            _ => return Err(Error::new(ErrorKind::Malformed, "the answer is not a list of JSON objects")),
        };
        Ok(&chunk[1..])
    }

    fn row_bytes<'a>(&mut self, chunk: &'a [u8], each: &mut RowSink<'_>) -> Result<&'a [u8], Error> {
        let end = chunk.iter().position(|byte| self.ends_row(*byte));
        let taken = end.map_or(chunk.len(), |last| last + 1);
        if self.partial.len() + taken > ROW_LIMIT {
            return Err(Error::new(ErrorKind::TooLarge, format!("a row over {ROW_LIMIT} bytes")));
        }
        let (bytes, rest) = chunk.split_at(taken);
        if end.is_none() {
            self.partial.extend_from_slice(bytes);
            return Ok(rest);
        }
        let row = if self.partial.is_empty() {
            parse(bytes)
        } else {
            self.partial.extend_from_slice(bytes);
            parse(&self.partial)
        };
        self.partial.clear();
        self.place = if self.in_array { Place::CommaOrEnd } else { Place::End };
        each(row?)?;
        Ok(rest)
    }

    /// Follows strings and nesting; whether the row is good JSON is the real parser's business.
    fn ends_row(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.depth == 0
    }
}

fn parse(bytes: &[u8]) -> Result<Row, Error> {
    let what = "a row of the answer is not an object of strings";
    serde_json::from_slice(bytes).map_err(|error| Error::new(ErrorKind::Malformed, what).caused_by(error))
}

#[cfg(test)]
mod tests;
