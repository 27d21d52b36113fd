//! A rule for a column as SQL, or why it cannot be one.

use super::catalog::{Column, Kind};
use super::rule::Rule;
use crate::postgres::identifier::literal;

/// Characters of a pseudonym where there is room: 80 bits, so that even among a thousand million values two of
/// the same are unlikely (birthday bound: one in two million).
const PSEUDONYM: u32 = 20;

/// The fewest characters for a column whose values need not differ from each other.
const SHORT_PSEUDONYM: u32 = 8;

/// `p`, 20 characters and `@example.com`.
const EMAIL: u32 = 33;

/// Whether a rule can be had for a column; otherwise why not.
pub(super) fn objection(rule: &Rule, column: &Column) -> Option<String> {
    let kind = column.kind;
    let takes = match rule {
        Rule::Keep | Rule::Null | Rule::Const(_) => true,
        Rule::Mask { .. } | Rule::Fake(_) | Rule::PseudonymEmail => kind.is_text(),
        Rule::KeepFormat => kind.is_text() || kind == Kind::Numeric,
        Rule::Pseudonym => kind.is_text() || matches!(kind, Kind::Integer(_) | Kind::Uuid | Kind::Bytes | Kind::Inet),
        Rule::Shift { .. } => matches!(kind, Kind::Date | Kind::Timestamp),
        Rule::Json { .. } => matches!(kind, Kind::Json | Kind::Jsonb),
    };
    let changes = *rule != Rule::Keep;
    if !takes {
        let possible = match kind {
            Kind::Text | Kind::FoldedText => "mask, pseudonym, fake, keep-format, null, const or keep",
            Kind::Integer(_) | Kind::Uuid | Kind::Bytes | Kind::Inet => "pseudonym, null, const or keep",
            Kind::Numeric => "keep-format, null, const or keep",
            Kind::Date | Kind::Timestamp => "shift, null, const or keep",
            Kind::Json | Kind::Jsonb => "json, null, const or keep",
            Kind::Array | Kind::Other => "null, const or keep",
        };
        return Some(format!("{} takes {possible}", column.type_name));
    }
    if changes && column.partition_key {
        return Some("it decides in which partition a row is, so it must be kept".into());
    }
    if *rule == Rule::Null && column.not_null {
        return Some("it must not be NULL".into());
    }
    if column.unique && matches!(rule, Rule::Fake(_) | Rule::Const(_) | Rule::Mask { .. }) {
        return Some(
            "its values must differ from each other: a pseudonym does, or keep-format where there is room".into(),
        );
    }
    if column.unique && *rule == Rule::Pseudonym && kind == Kind::Inet {
        return Some("its values must differ from each other, and there are too few addresses: null or keep".into());
    }
    let room = column.length.unwrap_or(u32::MAX);
    let needed = match rule {
        Rule::PseudonymEmail => EMAIL,
        Rule::Pseudonym if kind.is_text() && column.unique => PSEUDONYM,
        Rule::Pseudonym if kind.is_text() => SHORT_PSEUDONYM,
        _ => 0,
    };
    (room < needed).then(|| format!("{} has room for {room} characters, and {needed} are needed", column.type_name))
}

/// The new value of a column, of its own type. `value` is the old one as SQL.
pub(super) fn new_value(rule: &Rule, column: &Column, value: &str) -> String {
    let made = match (rule, column.kind) {
        (Rule::Keep, _) => return value.to_owned(),
        (Rule::Null, _) => "NULL".to_owned(),
        (Rule::Const(text), _) => format!("CASE WHEN {value} IS NOT NULL THEN {} END", literal(text)),
        (Rule::Shift { days }, Kind::Date) => {
            let moved = shifted(&format!("{value}::timestamp"), *days);
            // A day at least: seconds would leave a date where it is.
            format!(
                "CASE WHEN isfinite({value}) THEN CASE WHEN {moved}::date = {value} THEN {value} + 1 ELSE {moved}::date END ELSE {value} END"
            )
        }
        (Rule::Shift { days }, _) => {
            format!("CASE WHEN isfinite({value}) THEN {} ELSE {value} END", shifted(value, *days))
        }
        (Rule::Pseudonym, Kind::Integer(half)) => {
            format!("rehearsal_anonymise.permute({value}::bigint, {half})")
        }
        (Rule::Pseudonym, Kind::Uuid) => format!("rehearsal_anonymise.pseudonym({value}::uuid)"),
        (Rule::Pseudonym, Kind::Bytes) => format!("rehearsal_anonymise.pseudonym({value}::bytea)"),
        (Rule::Pseudonym, Kind::Inet) => format!("rehearsal_anonymise.pseudonym({value}::inet)"),
        (Rule::Json { paths, keep_others }, _) => document(paths, *keep_others, value),
        // NaN and the infinities have no digits, and no other word is a number.
        (Rule::KeepFormat, Kind::Numeric) => format!(
            "CASE WHEN {value}::text ~ '[[:digit:]]' THEN rehearsal_anonymise.keep_format({value}::text) ELSE {value}::text END"
        ),
        (rule, Kind::FoldedText) => of_text(rule, &format!("lower({value}::text)"), column.length),
        (rule, _) => of_text(rule, &format!("{value}::text"), column.length),
    };
    format!("({made})::{}", column.type_name)
}

fn shifted(value: &str, days: u32) -> String {
    let by = format!("rehearsal_anonymise.shift(extract(epoch FROM {value})::numeric, {days})");
    format!("({value} + make_interval(secs => {by}))")
}

fn of_text(rule: &Rule, text: &str, room: Option<u32>) -> String {
    match rule {
        Rule::Mask { first, last } => format!("rehearsal_anonymise.mask({text}, {first}, {last})"),
        Rule::Pseudonym => {
            format!("rehearsal_anonymise.pseudonym({text}, {})", room.unwrap_or(PSEUDONYM).min(PSEUDONYM))
        }
        Rule::PseudonymEmail => format!("rehearsal_anonymise.pseudonym_email({text})"),
        Rule::Fake(fake) => {
            let made = format!("rehearsal_anonymise.fake('{}', {text})", fake.as_str());
            room.map_or(made.clone(), |room| format!("left({made}, {room})"))
        }
        Rule::KeepFormat => format!("rehearsal_anonymise.keep_format({text})"),
        Rule::Const(constant) => literal(constant),
        Rule::Keep | Rule::Null | Rule::Shift { .. } | Rule::Json { .. } => text.to_owned(),
    }
}

/// A document with its paths replaced. Where a path leads to something other than a text, a number or a truth
/// value, nobody has said what is in it: it becomes null.
fn document(paths: &[(Vec<String>, Rule)], keep_others: bool, value: &str) -> String {
    let whole = format!("{value}::jsonb");
    let start = if keep_others { whole.clone() } else { "'{}'::jsonb".to_owned() };
    let made = paths.iter().fold(start, |made, (path, rule)| {
        let path = format!("ARRAY[{}]", path.iter().map(|part| literal(part)).collect::<Vec<_>>().join(", "));
        let old = format!("({whole} #> {path})");
        let new = match rule {
            Rule::Keep => old,
            Rule::Null => format!("CASE WHEN {old} IS NOT NULL THEN 'null'::jsonb END"),
            rule => format!(
                "CASE WHEN jsonb_typeof({old}) IN ('string', 'number', 'boolean') THEN to_jsonb({}::text) \
                 WHEN {old} IS NOT NULL THEN 'null'::jsonb END",
                of_text(rule, &format!("({whole} #>> {path})"), None)
            ),
        };
        format!("rehearsal_anonymise.put({made}, {path}, {new})")
    });
    // A document that is no object has no paths, so nothing was said of what is in it.
    format!(
        "CASE WHEN {value} IS NULL THEN NULL WHEN jsonb_typeof({whole}) = 'object' THEN {made} ELSE '{{}}'::jsonb END"
    )
}
