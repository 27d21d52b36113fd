//! A throwaway server that runs.

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::postgres::catalog::{self, Role, Surroundings};
use crate::postgres::identifier::{literal, quote};
use crate::postgres::journal::JournalConfig;
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;
use crate::postgres::settings;
use crate::postgres::tools::Tools;
use crate::postgres::version::Version;
use crate::target::Target;

/// The superuser of a throwaway server. Not `postgres`: a copied database may have a role of that name
/// which is no superuser, as on most hosted servers, and it must not become one.
pub const SUPERUSER: &str = "rehearsal_sandbox";

/// The first major whose CREATE DATABASE knows STRATEGY.
const FIRST_WITH_STRATEGIES: u32 = 15;

/// What ends a server. Dropping it ends the server as well, as far as a drop can.
#[async_trait]
pub trait Guard: Send + Sync {
    /// Ends the server and removes what it left.
    async fn remove(self: Box<Self>);

    /// Lets the server live on after this process.
    ///
    /// # Errors
    /// When it cannot be kept; it is removed then.
    async fn keep(self: Box<Self>) -> Result<Kept>;
}

/// How to look at a server that was kept, as commands to copy. They hold no password: they end up
/// in records.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Connects as the superuser; the database's name is to follow.
    pub connect: String,
    /// Ends the server and removes what it left.
    pub remove: String,
}

/// A throwaway server, its superuser, and the client programs that belong to it.
pub struct Sandbox {
    provider: &'static str,
    server: Target,
    version: Version,
    tools: Tools,
    guard: Option<Box<dyn Guard>>,
}

impl Sandbox {
    /// Takes a server into care. `server` is its superuser on its maintenance database.
    #[must_use]
    pub fn new(provider: &'static str, server: Target, version: Version, tools: Tools, guard: Box<dyn Guard>) -> Self {
        Self { provider, server, version, tools, guard: Some(guard) }
    }

    /// Says where our own tables are in its databases.
    #[must_use]
    pub fn keeping_journal(mut self, journal: JournalConfig) -> Self {
        self.server = self.server.keeping_journal(journal);
        self
    }

    /// Which provider it came from.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        self.provider
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Its own client programs, which fit it.
    #[must_use]
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// The superuser on one of its databases.
    #[must_use]
    pub fn database(&self, name: &str) -> Target {
        self.server.with_database(name)
    }

    /// Makes an empty database.
    ///
    /// # Errors
    /// The server's.
    pub async fn create_database(
        &self,
        name: &str,
        encoding: Option<&str>,
        cancel: &CancellationToken,
    ) -> Result<Target> {
        let mut session = Session::connect(&self.server, "sandbox", cancel).await?;
        let encoding = encoding
            .filter(|encoding| *encoding != "UTF8")
            .map_or_else(String::new, |encoding| format!(" ENCODING {} LOCALE 'C'", literal(encoding)));
        let sql = format!("CREATE DATABASE {} TEMPLATE template0{encoding}", quote(name));
        session.execute(&sql).await.map_err(Stopped::doing("create a database in the sandbox"))?;
        session.close().await;
        Ok(self.database(name))
    }

    /// Copies one of its databases as it stands, for the same role, which owns the copy. Whoever is connected
    /// to the original is in the way.
    ///
    /// # Errors
    /// The server's.
    pub async fn copy_database(&self, original: &Target, name: &str, cancel: &CancellationToken) -> Result<Target> {
        self.drop_database(name, cancel).await?;
        let mut session = Session::connect(&self.server, "sandbox", cancel).await?;
        // No limit: it takes as long as the files are big.
        // Before 15 there was no other way than file by file, and no word for it. Through the log, which is the later
        // default, every page is written twice.
        let by_files = if self.version.major >= FIRST_WITH_STRATEGIES { " STRATEGY FILE_COPY" } else { "" };
        let sql = format!(
            "CREATE DATABASE {} TEMPLATE {} OWNER {}{by_files}",
            quote(name),
            quote(original.database()),
            quote(original.user())
        );
        session.execute("SET statement_timeout = 0").await.map_err(Stopped::doing("prepare the copy"))?;
        session.execute(&sql).await.map_err(Stopped::doing("copy a database in the sandbox"))?;
        session.close().await;
        Ok(original.with_database(name))
    }

    /// Removes a database.
    ///
    /// # Errors
    /// The server's.
    pub async fn drop_database(&self, name: &str, cancel: &CancellationToken) -> Result<()> {
        let mut session = Session::connect(&self.server, "sandbox", cancel).await?;
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote(name));
        session.execute(&sql).await.map_err(Stopped::doing("drop a database in the sandbox"))?;
        session.close().await;
        Ok(())
    }

    /// Makes the roles that a dump names, with their attributes and memberships; none of them can log in.
    ///
    /// # Errors
    /// The server's.
    pub async fn create_roles(&self, roles: &[Role], cancel: &CancellationToken) -> Result<()> {
        let doing = || Stopped::doing("create the target's roles in the sandbox");
        let mut session = Session::connect(&self.server, "sandbox", cancel).await?;
        let there: Vec<String> = catalog::roles(&mut session).await?.into_iter().map(|role| role.name).collect();
        let missing = || roles.iter().filter(|role| !there.contains(&role.name));
        for role in missing() {
            let sql = format!("CREATE ROLE {} NOLOGIN {}", quote(&role.name), attributes(role));
            session.execute(&sql).await.map_err(doing())?;
        }
        for role in missing() {
            // A hosted server has roles of its maker's, which a fresh one lacks.
            for group in role
                .member_of
                .iter()
                .filter(|group| group.starts_with("pg_") || roles.iter().any(|role| role.name == **group))
            {
                let sql = format!("GRANT {} TO {}", quote(group), quote(&role.name));
                session.execute(&sql).await.map_err(doing())?;
            }
        }
        session.close().await;
        Ok(())
    }

    /// Makes a restored database look as the original does to the role that works on it: the role may
    /// log in, and owner, right to create and settings, which a dump leaves out, are the original's.
    /// Gives the settings that this server does not take.
    ///
    /// # Errors
    /// The server's.
    pub async fn enter_as(
        &self,
        original: &Surroundings,
        database: &str,
        cancel: &CancellationToken,
    ) -> Result<(Target, Vec<String>)> {
        let mut session = Session::connect(&self.server, "sandbox", cancel).await?;
        let password =
            self.server.password().map_or_else(String::new, |password| format!(" PASSWORD {}", literal(password)));
        let who = original.migrating_role();
        let (role, database_name) = (quote(who), quote(database));
        let mut sql = format!(
            "ALTER ROLE {role} LOGIN{password}; ALTER DATABASE {database_name} OWNER TO {};",
            quote(&original.owner)
        );
        if original.may_create_schema && who == original.role {
            sql.push_str(&format!("GRANT CREATE ON DATABASE {database_name} TO {role}"));
        }
        session.execute(&sql).await.map_err(Stopped::doing("let the target's role into the sandbox"))?;
        let unknown = settings::apply(&mut session, database, &original.settings).await?;
        session.close().await;
        Ok((self.server.with_database(database).with_user(who), unknown))
    }

    /// Ends it and removes what it left.
    pub async fn remove(mut self) {
        if let Some(guard) = self.guard.take() {
            guard.remove().await;
        }
    }

    /// Lets it live on, and tells how to look at it and how to get rid of it.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub async fn keep(mut self) -> Result<Option<Kept>> {
        match self.guard.take() {
            Some(guard) => guard.keep().await.map(Some),
            None => Ok(None),
        }
    }
}

/// What a role may do apart from its privileges, as CREATE ROLE takes it.
fn attributes(role: &Role) -> String {
    let attributes = [
        ("SUPERUSER", role.superuser),
        ("INHERIT", role.inherit),
        ("CREATEROLE", role.create_role),
        ("CREATEDB", role.create_database),
        ("BYPASSRLS", role.bypass_rls),
        ("REPLICATION", role.replication),
    ];
    let words: Vec<String> =
        attributes.iter().map(|(word, has)| if *has { (*word).to_owned() } else { format!("NO{word}") }).collect();
    words.join(" ")
}
