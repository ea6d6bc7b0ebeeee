#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

fn parse_in_pieces(body: &[u8], piece: usize) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    let mut parser = RowParser::new();
    let mut each = |row| {
        rows.push(row);
        Ok(())
    };
    body.chunks(piece.max(1)).try_for_each(|chunk| parser.push(chunk, &mut each))?;
    parser.finish(false)?;
    Ok(rows)
}

fn kind(body: &str) -> ErrorKind {
    parse_in_pieces(body.as_bytes(), 3).unwrap_err().kind()
}

#[test]
fn a_list_an_empty_list_and_a_single_object_are_read() {
    let lengths = [(r#"[]"#, 0), (r#" [ {"a":"]}"} , {"a":"\"{"} ] "#, 2), ("{\"a\":\"1\"}\n", 1)];
    for (body, length) in lengths {
        assert_eq!(parse_in_pieces(body.as_bytes(), 2).unwrap().len(), length, "{body}");
    }
}

#[test]
fn what_is_not_a_whole_list_is_malformed_and_never_an_empty_one() {
    let bodies = [
        "",
        " ",
        "[",
        "[{}",
        "[{},",
        "[{},]",
        "[{}{}]",
        "[]x",
        "[1]",
        "null",
        "\"\"",
        "<html>",
        "{\"a\":",
        "[{\"a\" 1}]",
    ];
    for body in bodies {
        assert_eq!(kind(body), ErrorKind::Malformed, "{body}");
    }
}

#[test]
fn only_an_answer_that_may_be_empty_may_be_empty() {
    RowParser::new().finish(true).unwrap();
    RowParser::new().finish(false).unwrap_err();
}

#[test]
fn a_row_over_the_limit_is_too_large_before_it_has_all_come() {
    let body = format!("[{{\"a\":\"{}", "x".repeat(ROW_LIMIT + 1));
    assert_eq!(parse_in_pieces(body.as_bytes(), 4096).unwrap_err().kind(), ErrorKind::TooLarge);
}

#[test]
fn numbers_and_booleans_read_as_text() {
    let rows = parse_in_pieces(br#"{"a":1,"b":true,"c":1.5e9,"d":null,"i":"j"}"#, 100).unwrap();
    let pairs: Vec<_> = rows[0].iter().collect();
    assert_eq!(pairs, [("a", "1"), ("b", "true"), ("c", "1500000000.0"), ("i", "j")]);
}

proptest! {
    #[test]
    fn rows_round_trip_however_the_body_is_cut(
        rows in prop::collection::vec(prop::collection::vec((".{0,12}", ".{0,24}"), 0..6), 0..8),
        piece in 1_usize..40,
    ) {
        let objects: Vec<Row> = rows.iter().map(|row| row.iter().cloned().collect()).collect();
        let json: Vec<String> = rows.iter().map(|row| {
            let pairs: Vec<String> = row.iter()
                .map(|(k, v)| format!("{}:{}", serde_json::to_string(k).unwrap(), serde_json::to_string(v).unwrap()))
                .collect();
            format!("{{{}}}", pairs.join(","))
        }).collect();
        prop_assert_eq!(parse_in_pieces(format!("[{}]", json.join(",")).as_bytes(), piece).unwrap(), objects);
    }

    #[test]
    fn no_body_makes_the_parser_panic(body in prop::collection::vec(prop::sample::select(br#"[]{}",:\ a1"#.to_vec()), 0..60), piece in 1_usize..9) {
        let _ = parse_in_pieces(&body, piece);
    }
}
