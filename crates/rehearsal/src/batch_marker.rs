//! Where `/* batch: TABLE.KEY */ TRUE` may stand.
//!
//! A key range in place of `TRUE` gives the same result, batch after batch, only where it cuts the
//! rows of the statement into parts that do not depend on each other. So the marker is taken only as
//! one of the ANDed conditions of the outermost WHERE, of an UPDATE or DELETE of that very table, or
//! of an INSERT … SELECT out of it. Everything else is refused with its line, before anything runs.

use std::ops::Range;

use squawk_syntax::{SyntaxKind, SyntaxNode, SyntaxToken};

/// What is wrong with a marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misplaced {
    /// Byte offset in the file.
    pub offset: usize,
    /// What stands there.
    pub what: String,
    /// What to write instead.
    pub instead: String,
}

/// A marker that may be replaced by a key range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The table whose rows are walked, as the statement writes it.
    pub table: String,
    /// How the statement's conditions call that table: its alias, if it has one.
    pub qualifier: String,
    /// The key column, as the marker writes it.
    pub key: String,
    /// Byte range of comment and `TRUE` in the file.
    pub range: Range<usize>,
    /// Rows that came in while the statement ran are walked as well. Not for INSERT … SELECT: those
    /// rows are no part of what the statement would have read.
    pub sweeps: bool,
    /// The rows that are walked are changed, and not only read or deleted.
    pub updates: bool,
}

/// Aggregates of PostgreSQL: over a part of the rows they give a part of the answer.
const AGGREGATES: &[&str] = &[
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "every",
    "json_agg",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_object_agg",
    "max",
    "min",
    "mode",
    "percentile_cont",
    "percentile_disc",
    "range_agg",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var_pop",
    "var_samp",
    "variance",
    "xmlagg",
];

/// Parts of a SELECT whose result over a part of the rows is not a part of the result.
const WHOLE_RESULT: &[SyntaxKind] = &[
    SyntaxKind::DISTINCT_CLAUSE,
    SyntaxKind::GROUP_BY_CLAUSE,
    SyntaxKind::HAVING_CLAUSE,
    SyntaxKind::LIMIT_CLAUSE,
    SyntaxKind::OFFSET_CLAUSE,
    SyntaxKind::FETCH_CLAUSE,
    SyntaxKind::WINDOW_CLAUSE,
    SyntaxKind::OVER_CLAUSE,
];

const WRITERS: &[SyntaxKind] = &[SyntaxKind::INSERT, SyntaxKind::UPDATE, SyntaxKind::DELETE, SyntaxKind::MERGE];

/// Looks for a marker in a statement.
///
/// # Errors
/// [`Misplaced`] for one that cannot be replaced by a key range.
pub fn find(statement: &SyntaxNode) -> Result<Option<Marker>, Misplaced> {
    let tokens: Vec<SyntaxToken> =
        statement.descendants_with_tokens().filter_map(|element| element.into_token()).collect();
    let mut found = None;
    for (index, token) in tokens.iter().enumerate() {
        if token.kind() != SyntaxKind::COMMENT {
            continue;
        }
        let Some((table, key)) = read(token.text()) else { continue };
        let offset = usize::from(token.text_range().start());
        let refuse = |what: &str, instead: &str| Misplaced { offset, what: what.into(), instead: instead.into() };
        let next = tokens[index + 1..]
            .iter()
            .find(|next| !matches!(next.kind(), SyntaxKind::WHITESPACE | SyntaxKind::COMMENT));
        let Some(marked) = next.filter(|next| next.kind() == SyntaxKind::TRUE_KW) else {
            return Err(refuse(
                "a batch marker that is not followed by TRUE",
                "write it as `/* batch: TABLE.KEY */ TRUE AND …`",
            ));
        };
        if found.is_some() {
            return Err(refuse(
                "a second batch marker in one statement",
                "a statement is walked by one key: keep one marker",
            ));
        }
        let range = offset..usize::from(marked.text_range().end());
        found = Some(place(statement, marked, &table, key, range).map_err(|(what, instead)| refuse(&what, &instead))?);
    }
    Ok(found)
}

fn read(comment: &str) -> Option<(String, String)> {
    let inner = comment.strip_prefix("/*")?.strip_suffix("*/")?.trim();
    let target = asked_for(inner)?;
    let (table, key) = target.split_at(last_dot(target).unwrap_or(target.len()));
    Some((table.trim().to_owned(), key.trim_start_matches('.').trim().to_owned()))
}

/// What stands behind `batch:` in a comment, without what opens it. However it is spelt: a marker that is not seen
/// would be one statement over the whole table.
pub(crate) fn asked_for(comment: &str) -> Option<&str> {
    let (word, rest) = comment.split_at_checked("batch".len())?;
    let rest = rest.trim_start().strip_prefix(':')?;
    word.eq_ignore_ascii_case("batch").then(|| rest.trim())
}

/// Where the last dot is that belongs to no quoted name.
fn last_dot(target: &str) -> Option<usize> {
    let mut quoted = false;
    let dots = target.char_indices().filter(|(_, letter)| {
        quoted ^= *letter == '"';
        *letter == '.' && !quoted
    });
    dots.last().map(|(place, _)| place)
}

type Refusal = (String, String);

fn refusal(what: impl Into<String>, instead: impl Into<String>) -> Refusal {
    (what.into(), instead.into())
}

fn place(
    statement: &SyntaxNode,
    marked: &SyntaxToken,
    table: &str,
    key: String,
    range: Range<usize>,
) -> Result<Marker, Refusal> {
    if table.is_empty() || key.is_empty() {
        return Err(refusal("a batch marker without a table or a key", "write it as `/* batch: TABLE.KEY */ TRUE`"));
    }
    if !is_one_name(&key) {
        return Err(refusal(
            format!("a batch marker by `{key}`, which is not the name of one column"),
            "walk one column of the key, its first if an index opens with it: `/* batch: TABLE.KEY */ TRUE`",
        ));
    }
    let clause = where_clause(marked).ok_or_else(|| {
        refusal(
            "a batch marker that is not one of the conditions that AND joins in a WHERE: OR, NOT and CASE would apply a part of the rows in every batch",
            "put it first and the rest in parentheses: `WHERE /* batch: TABLE.KEY */ TRUE AND (…)`",
        )
    })?;
    let owner = clause.parent();
    let outermost = |kind| statement.kind() == kind && owner.as_ref() == Some(statement);
    if outermost(SyntaxKind::UPDATE) || outermost(SyntaxKind::DELETE) {
        refuse_writing_with(statement)?;
        return of_target(statement, table, key, range);
    }
    let from_select = statement.kind() == SyntaxKind::INSERT
        && owner
            .as_ref()
            .is_some_and(|select| select.kind() == SyntaxKind::SELECT && select.parent().as_ref() == Some(statement));
    if let (true, Some(select)) = (from_select, &owner) {
        refuse_writing_with(statement)?;
        return of_source(statement, select, table, key, range);
    }
    if let Some(writer) = owner.as_ref().filter(|writer| moves_rows(statement, writer)) {
        let marker = of_target(writer, table, key, range)?;
        refuse_into_itself(statement, &marker.table)?;
        return Ok(marker);
    }
    Err(refusal(
        "a batch marker inside of a subquery, a WITH or another kind of statement: a part of its rows is not a part of the result",
        "mark the outermost WHERE of an UPDATE or DELETE of the table, or of an INSERT … SELECT out of it",
    ))
}

/// An identifier as SQL writes it, plain or quoted: no list, no expression.
fn is_one_name(key: &str) -> bool {
    match key.strip_prefix('"').and_then(|key| key.strip_suffix('"')) {
        Some(quoted) => !quoted.is_empty() && !quoted.replace("\"\"", "").contains('"'),
        None => {
            let within = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '$');
            key.chars().all(within) && !key.starts_with(|first: char| first.is_ascii_digit() || first == '$')
        }
    }
}

/// The WHERE that the marked `TRUE` is a condition of, if only AND and parentheses are in between.
fn where_clause(marked: &SyntaxToken) -> Option<SyntaxNode> {
    let mut node = marked.parent()?;
    loop {
        let joins = match node.kind() {
            SyntaxKind::LITERAL | SyntaxKind::PAREN_EXPR => true,
            SyntaxKind::BIN_EXPR => node.children_with_tokens().any(|child| child.kind() == SyntaxKind::AND_KW),
            SyntaxKind::WHERE_CLAUSE => return Some(node),
            _ => false,
        };
        if !joins {
            return None;
        }
        node = node.parent()?;
    }
}

/// `WITH moved AS (DELETE … RETURNING …) INSERT … SELECT … FROM moved`: what the only writing WITH
/// gives is all that the INSERT reads.
fn moves_rows(statement: &SyntaxNode, writer: &SyntaxNode) -> bool {
    let with_table = writer.parent().filter(|parent| parent.kind() == SyntaxKind::WITH_TABLE);
    let clause = with_table.as_ref().and_then(SyntaxNode::parent);
    let select = statement.children().find(|child| child.kind() == SyntaxKind::SELECT);
    let (Some(with_table), Some(clause), Some(select)) = (with_table, clause, select) else { return false };
    let name =
        with_table.children().find(|child| child.kind() == SyntaxKind::CTE_NAME).map(|name| folded(&text(&name)));
    let read: Vec<String> = select
        .children()
        .filter(|child| child.kind() == SyntaxKind::FROM_CLAUSE)
        .flat_map(|from| {
            from.descendants().filter(|node| node.kind() == SyntaxKind::RELATION_NAME_REF).collect::<Vec<_>>()
        })
        .map(|name| folded(&text(&name)))
        .collect();
    let writers = clause.descendants().filter(|node| WRITERS.contains(&node.kind())).count();
    statement.kind() == SyntaxKind::INSERT
        && matches!(writer.kind(), SyntaxKind::DELETE | SyntaxKind::UPDATE)
        && clause.parent().as_ref() == Some(statement)
        && writers == 1
        && !has_whole_result(&select)
        && name.is_some_and(|name| read == [name])
}

/// A WITH that writes would write once per batch.
fn refuse_writing_with(statement: &SyntaxNode) -> Result<(), Refusal> {
    let with = statement.children().find(|child| child.kind() == SyntaxKind::WITH_CLAUSE);
    if with.is_some_and(|with| with.descendants().any(|node| WRITERS.contains(&node.kind()))) {
        return Err(refusal(
            "a batch marker behind a WITH that writes: it would write once per batch",
            "make it a statement of its own",
        ));
    }
    Ok(())
}

fn of_target(statement: &SyntaxNode, table: &str, key: String, range: Range<usize>) -> Result<Marker, Refusal> {
    let child = |kind| statement.children().find(|child| child.kind() == kind);
    let name = child(SyntaxKind::RELATION_NAME)
        .and_then(|name| name.children().find(|child| child.kind() == SyntaxKind::RELATION_NAME_REF))
        .map(|name| text(&name))
        .unwrap_or_default();
    let alias = child(SyntaxKind::OPTIONAL_AS_ALIAS)
        .and_then(|alias| alias.children().find(|child| child.kind() == SyntaxKind::TABLE_ALIAS))
        .map(|alias| text(&alias));
    if !is_called(table, &name, alias.as_deref()) {
        return Err(refusal(
            format!("a batch marker that names {table}, and the statement writes {name}"),
            format!("walk the table that is written: /* batch: {name}.KEY */ TRUE"),
        ));
    }
    let set = child(SyntaxKind::SET_CLAUSE);
    let sets_key = set
        .iter()
        .flat_map(SyntaxNode::descendants)
        .any(|node| node.kind() == SyntaxKind::COLUMN_TARGET && folded(&text(&node)) == folded(&key));
    if sets_key {
        return Err(refusal(
            format!("a batch by {key}, which the statement itself changes: rows would move on into batches to come"),
            "batch by a key that stays as it is",
        ));
    }
    let qualifier = alias.unwrap_or_else(|| name.clone());
    Ok(Marker { table: name, qualifier, key, range, sweeps: true, updates: set.is_some() })
}

fn of_source(
    statement: &SyntaxNode,
    select: &SyntaxNode,
    table: &str,
    key: String,
    range: Range<usize>,
) -> Result<Marker, Refusal> {
    if has_whole_result(select) {
        return Err(refusal(
            "a batch marker in a SELECT with an aggregate, a window, DISTINCT, GROUP BY or LIMIT: each batch would give a result of its own",
            "leave the marker out, or compute it into a table of its own first",
        ));
    }
    let from = select.children().find(|child| child.kind() == SyntaxKind::FROM_CLAUSE);
    let first =
        from.as_ref().and_then(|from| from.descendants().find(|node| node.kind() == SyntaxKind::RELATION_FROM_ITEM));
    let outer = [SyntaxKind::RIGHT_KW, SyntaxKind::FULL_KW];
    let keeps_rows =
        from.as_ref().is_some_and(|from| !from.descendants_with_tokens().any(|node| outer.contains(&node.kind())));
    let named = first.and_then(|item| {
        let name = item.children().find(|child| child.kind() == SyntaxKind::RELATION_NAME_REF)?;
        let alias = item.descendants().find(|node| node.kind() == SyntaxKind::TABLE_ALIAS).map(|alias| text(&alias));
        Some((text(&name), alias))
    });
    let Some((name, alias)) = named.filter(|(name, alias)| keeps_rows && is_called(table, name, alias.as_deref()))
    else {
        return Err(refusal(
            format!(
                "a batch marker that names {table}, which is not the first table of FROM, or is joined by RIGHT or FULL"
            ),
            "put the table that is walked first, and join the others to it",
        ));
    };
    refuse_into_itself(statement, &name)?;
    let qualifier = alias.unwrap_or_else(|| name.clone());
    Ok(Marker { table: name, qualifier, key, range, sweeps: false, updates: false })
}

/// Rows that an INSERT adds to the table that is walked would be walked as well.
fn refuse_into_itself(statement: &SyntaxNode, walked: &str) -> Result<(), Refusal> {
    let into = statement
        .children()
        .find(|child| child.kind() == SyntaxKind::RELATION_NAME_REF)
        .map(|name| text(&name))
        .unwrap_or_default();
    if last_part(&into) == last_part(walked) {
        return Err(refusal(
            format!("a batched INSERT into {into} out of itself: it would read what it has written"),
            "insert into another table first",
        ));
    }
    Ok(())
}

/// Whether the SELECT itself (and not a subquery of it) needs all of its rows at once.
fn has_whole_result(select: &SyntaxNode) -> bool {
    select.descendants().any(|node| {
        let own =
            node.ancestors().find(|above| above.kind() == SyntaxKind::SELECT).is_some_and(|above| above == *select);
        let aggregate = node.kind() == SyntaxKind::CALL_EXPR
            && node.first_child().is_some_and(|name| AGGREGATES.contains(&last_part(&text(&name)).as_str()));
        own && (aggregate || WHOLE_RESULT.contains(&node.kind()))
    })
}

fn text(node: &SyntaxNode) -> String {
    node.text().to_string().trim().to_owned()
}

/// Whether the marker's table is this one: by its whole name, the last part of it, or its alias.
fn is_called(marker: &str, name: &str, alias: Option<&str>) -> bool {
    alias.is_some_and(|alias| folded(alias) == folded(marker))
        || folded(marker) == folded(name)
        || (last_part(marker) == last_part(name) && (!marker.contains('.') || !name.contains('.')))
}

fn last_part(name: &str) -> String {
    folded(name.rsplit('.').next().unwrap_or(name))
}

/// Names fold to lower case unless they are quoted.
fn folded(name: &str) -> String {
    let name = name.trim();
    match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => name.to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use squawk_syntax::SourceFile;
    use squawk_syntax::ast::AstNode;

    fn marker(sql: &str) -> Result<Option<Marker>, Misplaced> {
        let parsed = SourceFile::parse(sql);
        let statement = parsed.tree().stmts().next().expect("a statement");
        find(statement.syntax())
    }

    #[test]
    fn what_cuts_into_independent_parts_is_taken() {
        for (sql, table, qualifier, sweeps) in [
            ("UPDATE users SET a = 1 WHERE /* batch: users.id */ TRUE", "users", "users", true),
            (
                "UPDATE public.users SET a = 1 WHERE a IS NULL AND (/* batch: users.id */ TRUE AND b)",
                "public.users",
                "public.users",
                true,
            ),
            (
                "UPDATE ONLY \"User\" AS u SET a = x.b FROM x WHERE /* batch: \"User\".id */ TRUE AND u.id = x.id",
                "\"User\"",
                "u",
                true,
            ),
            ("UPDATE t SET a = 1 WHERE /* batch: t.id */ TRUE AND a IS NULL AND (b OR c)", "t", "t", true),
            ("UPDATE \"a.b\" SET a = 1 WHERE /* batch: \"a.b\".\"the.\"\"id\" */ TRUE", "\"a.b\"", "\"a.b\"", true),
            ("DELETE FROM t USING z WHERE /* batch: t.id */ TRUE AND z.id = t.z", "t", "t", true),
            ("WITH q AS (SELECT 1) DELETE FROM t WHERE /* batch: t.id */ TRUE", "t", "t", true),
            (
                "WITH moved AS (DELETE FROM t WHERE n = 2 AND /* batch: t.k */ TRUE RETURNING k) INSERT INTO o SELECT k FROM moved",
                "t",
                "t",
                true,
            ),
            (
                "INSERT INTO b SELECT lower(e.a), (SELECT count(*) FROM z) FROM ev e JOIN z ON true WHERE /* batch: ev.id */ TRUE",
                "ev",
                "e",
                false,
            ),
        ] {
            let found =
                marker(sql).unwrap_or_else(|wrong| panic!("{sql}: {wrong:?}")).unwrap_or_else(|| panic!("{sql}"));
            assert_eq!(
                (found.table.as_str(), found.qualifier.as_str(), found.sweeps),
                (table, qualifier, sweeps),
                "{sql}"
            );
            assert!(sql[found.range].ends_with("*/ TRUE"), "{sql}");
        }
    }

    #[test]
    fn what_would_give_another_result_is_refused() {
        for sql in [
            "DELETE FROM tags WHERE NOT EXISTS (SELECT FROM acc WHERE /* batch: acc.id */ TRUE AND acc.id = tags.acc_id)",
            "UPDATE acc SET b = b + 10 WHERE /* batch: acc.id */ TRUE AND a IS NOT NULL OR vip",
            "UPDATE acc SET b = b + 10 WHERE NOT (/* batch: acc.id */ TRUE AND a)",
            "UPDATE acc SET b = 1 WHERE CASE WHEN /* batch: acc.id */ TRUE THEN a ELSE b END",
            "UPDATE acc SET id = id + 1000000 WHERE /* batch: acc.id */ TRUE",
            "UPDATE acc SET (a, ID) = (1, 2) WHERE /* batch: acc.id */ TRUE",
            "UPDATE acc SET a = 1 WHERE /* batch: other.id */ TRUE",
            "UPDATE acc SET a = 1 WHERE /* batch: acc.(a, id) */ TRUE",
            "UPDATE acc SET a = 1 WHERE /* batch: acc.b, id */ TRUE",
            "UPDATE acc SET a = 1 WHERE /* batch: acc.lower(b) */ TRUE",
            "UPDATE acc SET a = 1 WHERE /* batch: acc.\"a\"b\" */ TRUE",
            "UPDATE acc SET a = 1 WHERE /* batch: acc.id */ a IS NULL",
            "UPDATE acc SET a = /* batch: acc.id */ TRUE",
            "UPDATE acc SET a = 1 WHERE /* batch: acc.id */ TRUE AND /* batch: acc.id */ TRUE",
            "INSERT INTO ev SELECT a FROM ev WHERE /* batch: ev.id */ TRUE",
            "WITH gone AS (DELETE FROM ev WHERE /* batch: ev.id */ TRUE RETURNING id) INSERT INTO public.ev SELECT id + 9 FROM gone",
            "INSERT INTO s SELECT count(*) FROM ev WHERE /* batch: ev.id */ TRUE",
            "INSERT INTO s SELECT DISTINCT a FROM ev WHERE /* batch: ev.id */ TRUE",
            "INSERT INTO s SELECT a FROM ev WHERE /* batch: ev.id */ TRUE LIMIT 5",
            "INSERT INTO s SELECT row_number() OVER () FROM ev WHERE /* batch: ev.id */ TRUE",
            "INSERT INTO s SELECT a FROM z RIGHT JOIN ev ON true WHERE /* batch: ev.id */ TRUE",
            "INSERT INTO s SELECT a FROM ev WHERE /* batch: ev.id */ TRUE UNION ALL SELECT 1",
            "WITH w AS (UPDATE x SET a = 1 RETURNING *) UPDATE t SET a = 1 WHERE /* batch: t.id */ TRUE",
            "WITH m AS (DELETE FROM t WHERE /* batch: t.id */ TRUE RETURNING id) INSERT INTO o SELECT count(*) FROM m",
            "WITH m AS (DELETE FROM t WHERE /* batch: t.id */ TRUE RETURNING id) INSERT INTO o SELECT x.id FROM x",
            "WITH m AS (DELETE FROM t WHERE /* batch: t.id */ TRUE RETURNING id) SELECT id FROM m",
            "SELECT 1 FROM t WHERE /* batch: t.id */ TRUE",
        ] {
            assert!(marker(sql).is_err(), "{sql}");
        }
    }
}
