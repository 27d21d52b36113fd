//! Usernames: which of them somebody may choose. The rule itself is a function of the database, so
//! that the service, the backfill and the table's constraint cannot disagree.

use sqlx::PgPool;

/// Why a username cannot be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objection {
    /// Too short or too long.
    Length,
    /// Characters that a subdomain cannot have.
    Characters,
    /// It means something else already.
    Reserved,
    /// Somebody has it.
    Taken,
}

impl Objection {
    /// What to tell whoever chose it.
    pub fn message(self) -> &'static str {
        match self {
            Self::Length => "must be 3 to 30 characters long",
            Self::Characters => "must be of a to z, 0 to 9 and -, which stands neither first nor last",
            Self::Reserved => "is reserved",
            Self::Taken => "is taken",
        }
    }
}

/// What stands against choosing this username, if anything. That nothing does is no promise: two
/// people may ask at once, and the unique index decides between them.
pub async fn objection(pool: &PgPool, username: &str) -> sqlx::Result<Option<Objection>> {
    let answer = sqlx::query!(
        r#"
        SELECT username_problem($1) AS problem,
            EXISTS (SELECT FROM "user" WHERE username = $1) AS "is_taken!"
        "#,
        username,
    )
    .fetch_one(pool)
    .await?;
    Ok(match answer.problem.as_deref() {
        Some("length") => Some(Objection::Length),
        Some("reserved") => Some(Objection::Reserved),
        Some(_) => Some(Objection::Characters),
        None if answer.is_taken => Some(Objection::Taken),
        None => None,
    })
}
