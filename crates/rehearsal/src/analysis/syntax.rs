//! Small questions to a parsed statement.

use squawk_syntax::ast::AstNode;
use squawk_syntax::{SyntaxKind, SyntaxNode};

/// What stands there, as written.
pub(super) fn text(node: &impl AstNode) -> String {
    node.syntax().text().to_string().trim().to_owned()
}

/// Whether that word stands anywhere in it.
pub(super) fn has_token(node: &SyntaxNode, kind: SyntaxKind) -> bool {
    node.descendants_with_tokens().any(|element| element.kind() == kind)
}

/// All nodes of a type in it, in the order of the text.
pub(super) fn all<T: AstNode>(node: &SyntaxNode) -> impl Iterator<Item = T> {
    node.descendants().filter_map(T::cast)
}

/// A name as the catalog has it: small letters unless quoted, the last part of it.
pub(super) fn folded(name: &str) -> String {
    let last = name.rsplit('.').next().unwrap_or(name).trim();
    match last.strip_prefix('"').and_then(|last| last.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => last.to_lowercase(),
    }
}
